"""Names, unique in the whole cluster while it is whole, and one of each after a heal; groups; presence."""

from foundation.registry.clerk import CLERK_SERIAL, Clerk, GroupCount, Holdings, clerk_of
from foundation.registry.events import NameEvent, NameReason
from foundation.registry.group_table import GROUPS, GroupChange, GroupMember, GroupRow, GroupTable
from foundation.registry.groups import Groups
from foundation.registry.name_loss import NameLoss
from foundation.registry.names import Names
from foundation.registry.options import RegistryOptions
from foundation.registry.presence import Entries, Metas, Presence, Topics
from foundation.registry.presence_table import PRESENCE, PresenceDiff, PresenceMeta, PresenceRow, PresenceTable
from foundation.registry.registry import Metadata, NameWatch, Registry
from foundation.registry.rows import MOVED, NAMES, NOT_RUNNING, TERMINATED, NameRow

__all__ = [
    "CLERK_SERIAL",
    "GROUPS",
    "MOVED",
    "NAMES",
    "NOT_RUNNING",
    "PRESENCE",
    "TERMINATED",
    "Clerk",
    "Entries",
    "GroupChange",
    "GroupCount",
    "GroupMember",
    "GroupRow",
    "GroupTable",
    "Groups",
    "Holdings",
    "Metadata",
    "Metas",
    "NameEvent",
    "NameLoss",
    "NameReason",
    "NameRow",
    "NameWatch",
    "Names",
    "Presence",
    "PresenceDiff",
    "PresenceMeta",
    "PresenceRow",
    "PresenceTable",
    "Registry",
    "RegistryOptions",
    "Topics",
    "clerk_of",
]
