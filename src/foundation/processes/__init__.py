"""Processes: state behind methods that are called the same from near and far."""

from foundation.processes.agent import AGENT_SERIAL, Agent, told
from foundation.processes.calling.verbs import cast, name_of, options, send
from foundation.processes.catalog import class_with, wire_name_of
from foundation.processes.catalog import find as find_class
from foundation.processes.catalog import get as known_class
from foundation.processes.catalog import names as known_wire_names
from foundation.processes.catalog import on_new as on_new_wire_name
from foundation.processes.decorators import concurrent, idempotent, offload
from foundation.processes.ended import Ended, EndReason
from foundation.processes.host import Host
from foundation.processes.launch import Launch
from foundation.processes.messages import Cast, Forward, Message
from foundation.processes.monitor import Cancel, Monitor, Tell
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process, as_process_class, process_id_of, timers_of
from foundation.processes.registering import register_type
from foundation.processes.serving.requests import Hook
from foundation.processes.serving.running import ProcessInfo, Running
from foundation.processes.spec import Spec, described, spec
from foundation.processes.supervision import (
    RESTART_BACKOFF,
    Child,
    ChildCount,
    ChildInfo,
    Intensity,
    Pace,
    PlanWords,
    Restart,
    Supervisor,
    child,
    supervisor,
    wants_restart,
)
from foundation.processes.timer import Timer, TimerState

__all__ = [
    "AGENT_SERIAL",
    "RESTART_BACKOFF",
    "Agent",
    "Cancel",
    "Cast",
    "Child",
    "ChildCount",
    "ChildInfo",
    "EndReason",
    "Ended",
    "Forward",
    "Hook",
    "Host",
    "Intensity",
    "Launch",
    "Message",
    "Monitor",
    "Pace",
    "PlanWords",
    "Process",
    "ProcessInfo",
    "ProcessOptions",
    "Restart",
    "Running",
    "Spec",
    "Supervisor",
    "Tell",
    "Timer",
    "TimerState",
    "as_process_class",
    "cast",
    "child",
    "class_with",
    "concurrent",
    "described",
    "find_class",
    "idempotent",
    "known_class",
    "known_wire_names",
    "name_of",
    "offload",
    "on_new_wire_name",
    "options",
    "process_id_of",
    "register_type",
    "send",
    "spec",
    "supervisor",
    "timers_of",
    "told",
    "wants_restart",
    "wire_name_of",
]
