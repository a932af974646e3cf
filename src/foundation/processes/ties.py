"""What ties the processes of this node to others: the monitors that they made, and links."""

from __future__ import annotations

from typing import Protocol

from foundation.core.identity import ProcessId
from foundation.processes.calling.monitors import Monitors
from foundation.processes.ended import Ended, EndReason
from foundation.processes.monitor import Cancel, Monitor, Tell
from foundation.processes.serving.requests import Hook


class Holder(Protocol):
    """The host, as far as ties go."""

    def tell(self, serial: int, hook: Hook) -> object:
        """Have a process of this node do something between two messages."""
        ...

    def end(self, serial: int, reason: str, kind: EndReason) -> None:
        """Stop a process of this node."""
        ...


class Ties:
    """Monitors and links of the processes of one node; they end with them."""

    def __init__(self, monitors: Monitors, holder: Holder) -> None:
        self._monitors = monitors
        self._holder = holder
        self._cancels: dict[int, dict[Cancel, None]] = {}

    def __len__(self) -> int:
        """Count the monitors and links."""
        return sum(map(len, self._cancels.values()))

    def monitor(self, serial: int, target: ProcessId) -> Monitor:
        """Watch a process on behalf of one of this node, which is given its end to handle."""

        def watch(answer: Tell) -> Cancel:
            def tell(ended: Ended | None) -> None:
                answer(ended)
                if ended is not None:
                    self._holder.tell(serial, Hook("handle_ended", lambda process: process.handle_ended(ended)))

            return self._tie(serial, target, tell)

        return Monitor(watch, is_kept=True)

    def link(self, serial: int, other: ProcessId, *, must_run: bool) -> None:
        """Have a process of this node stopped when another one ends otherwise than in order.

        ``must_run`` says that the other one must not have ended already: else that counts as such an end.
        """

        def tell(ended: Ended | None) -> None:
            if ended is None or ended.is_normal or (ended.reason is EndReason.NO_SUCH_PROCESS and not must_run):
                return
            self._holder.end(serial, f"linked {ended}", EndReason.LINKED)

        self._tie(serial, other, tell)

    def release(self, serial: int) -> None:
        """Cut what ties a process that has ended."""
        for cancel in list(self._cancels.pop(serial, ())):
            cancel()

    def _tie(self, serial: int, target: ProcessId, tell: Tell) -> Cancel:
        def told(ended: Ended | None) -> None:
            forget()
            tell(ended)

        def forget() -> None:
            cancels = self._cancels.get(serial, {})
            if cancels.pop(cancel, self) is None and not cancels:
                del self._cancels[serial]

        def cancel() -> None:
            leave()
            told(None)

        leave = self._monitors.watch(target, told)
        self._cancels.setdefault(serial, {})[cancel] = None
        return cancel
