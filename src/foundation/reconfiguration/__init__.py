"""Change the configuration of a whole cluster while it runs: all nodes agree, then all go by it, or none does.

A change is a promise of every member that is up, and then a row, which the tables of the nodes carry to everybody. The
newest row of a key holds, on whichever node it was written, so nodes that were cut off from each other agree again.
"""

from foundation.reconfiguration.reconfiguration import Reconfiguration
from foundation.reconfiguration.report import KeyReport, ReconfigurationReport, Setting
from foundation.reconfiguration.rows import SETTINGS, SettingsRow, Written
from foundation.reconfiguration.taking import started_with

__all__ = [
    "SETTINGS",
    "KeyReport",
    "Reconfiguration",
    "ReconfigurationReport",
    "Setting",
    "SettingsRow",
    "Written",
    "started_with",
]
