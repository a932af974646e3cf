"""Run all checks at once, each in a thread of its own, and wait for none of them longer than told."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from foundation.cli.doctor.finding import Finding, problem, warning
from foundation.cli.doctor.subject import Subject
from foundation.discovery.bounded import describe

T = TypeVar("T")

Check = Callable[[Subject], Iterable[Finding]]


def examine(subject: Subject, checks: Mapping[str, Check], limit_s: float) -> list[Finding]:
    """Return what all checks found, in their order; one that hangs or fails is a finding itself."""
    deadline = time.monotonic() + limit_s
    running = {name: _begin(name, lambda check=check: list(check(subject))) for name, check in checks.items()}  # type: ignore[misc]
    found: list[Finding] = []
    for name, outcome in running.items():
        try:
            findings = _end(outcome, deadline - time.monotonic())
        except TimeoutError:
            findings = [warning(f"it did not end within {limit_s:g} s", "look what hangs; --timeout gives it longer")]
        except Exception as error:  # noqa: BLE001 - of the check; the others go on
            findings = [problem(f"the check itself failed: {describe(error)}", "report this")]
        found += [replace(finding, check=name) for finding in findings]
    return found


def within(limit_s: float, work: Callable[[], T]) -> T:
    """Return what ``work`` returns or raise what it raises; TimeoutError when it goes on for longer."""
    return _end(_begin("within", work), limit_s)


_Outcome = queue.Queue[tuple[T | None, Exception | None]]


def _begin(name: str, work: Callable[[], T]) -> _Outcome[T]:
    outcome: _Outcome[T] = queue.Queue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            outcome.put((None, error))

    threading.Thread(target=run, name=f"doctor: {name}", daemon=True).start()  # nobody waits for it at the end
    return outcome


def _end(outcome: _Outcome[T], limit_s: float) -> T:
    try:
        result, error = outcome.get(timeout=max(limit_s, 0))
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
