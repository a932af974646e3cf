"""Play a schedule on a simulated cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

from foundation.errors import FoundationError, RemoteError
from foundation.testing.errors import SimulationError, WaitFailed
from foundation.testing.schedules.faults import FAULTS, Faults
from foundation.testing.schedules.logs import noted_logs
from foundation.testing.schedules.outcome import Event, Outcome
from foundation.testing.schedules.scenario import (
    EVERYTHING_ENDS,
    NO_ERROR_LOGGED,
    NODES_START_AND_LEAVE,
    OPERATIONS_FAIL_WELL,
    VIEWS_AGREE,
    Check,
    QuietCheck,
    Scenario,
    Violation,
)
from foundation.testing.schedules.steps import Schedule, Step
from foundation.testing.simulation import SimulatedCluster, SimulatedNode, Simulation

_NOTICED_S = 4.0
"""Seconds of virtual time within which nodes notice what happened before everything was healed."""

_LOOK_S = 0.05
_LONGEST_RUN_S = 1e9


def play(schedule: Schedule, make_scenario: Callable[[], Scenario]) -> Outcome:
    """Play a schedule and tell what came of it. The same schedule gives the same outcome, to the digest."""
    return _Run(schedule, make_scenario()).play()


class _Run:
    def __init__(self, schedule: Schedule, scenario: Scenario) -> None:
        self._schedule = schedule
        self._scenario = scenario
        self._simulation = Simulation(schedule.seed)
        options = {"run_timeout_s": _LONGEST_RUN_S} | dict(scenario.options)
        self._cluster = SimulatedCluster(self._simulation, schedule.all_nodes, **options)
        self._faults = Faults(self._cluster, scenario.started)
        self._happened: Counter[str] = Counter()
        self._under_way: dict[int, str] = {}
        self._errors: list[str] = []
        self._spawned = 0
        self._group: asyncio.TaskGroup
        self._tasks: list[asyncio.Task[None]]

    def play(self) -> Outcome:
        simulation, invariant, text = self._simulation, "", ""
        with noted_logs(simulation) as self._errors:
            try:
                simulation.run(self._story)
            except Violation as violation:
                invariant, text = violation.invariant, violation.text
            except SimulationError as error:
                invariant, text = EVERYTHING_ENDS, str(error)
        transcript = simulation.transcript
        events = tuple(Event(*event) for event in transcript.events)
        happened = dict(sorted(self._happened.items()))
        return Outcome(self._schedule, transcript.digest(), simulation.now, happened, events, invariant, text)

    async def _story(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._tasks = [group.create_task(self._watch())]
                await self._rounds()
                for task in self._tasks:
                    task.cancel()
        except BaseExceptionGroup as failures:
            raise _first_of(failures) from None

    async def _watch(self) -> None:
        while True:
            self._look(self._scenario.always)
            if self._errors:
                raise Violation(NO_ERROR_LOGGED, self._errors[0])
            await asyncio.sleep(self._scenario.look_s)

    async def _rounds(self) -> None:
        for node in self._cluster.nodes[: self._schedule.nodes]:
            self._spawn(f"the start of {node.name}", self._starting(node))
        await self._until_all_ended()
        await self._until_agreed()
        for number, length_s in enumerate(self._schedule.rounds_s):
            began = self._simulation.now
            steps = [step for step in self._schedule.steps if step.round == number]
            for step in sorted(steps, key=lambda step: step.at_s):
                if step.at_s < length_s:
                    await asyncio.sleep(began + step.at_s - self._simulation.now)
                    self._begin(step)
            await asyncio.sleep(began + length_s - self._simulation.now)
            await self._quiet([step for step in steps if step.at_s >= length_s])

    async def _quiet(self, steps: Iterable[Step]) -> None:
        """Heal everything, wait until all has ended and all nodes agree, and make the checks."""
        self._simulation.note("quiet: everything is healed")
        self._faults.end_all()
        await self._until_all_ended()
        for step in steps:
            self._begin(step)
        first = self._cluster.nodes[0]
        if first.condition == "ended":  # whom everybody looks for when it starts
            self._spawn(f"the start of {first.name}", self._starting(first))
        await asyncio.sleep(_NOTICED_S)
        await self._until_all_ended()
        await self._until_agreed()
        await asyncio.sleep(self._scenario.rest_s)
        if (seen := self._cluster.disagreement()) is not None:
            raise Violation(VIEWS_AGREE, f"all nodes agreed; then, while nothing happened, {seen}")
        self._look(self._scenario.always)
        await self._check(self._scenario.after_quiet)

    def _look(self, checks: Mapping[str, Check]) -> None:
        for name, check in checks.items():
            with _named(name):
                check(self._cluster)

    async def _check(self, checks: Mapping[str, QuietCheck]) -> None:
        for name, check in checks.items():
            with _named(name):
                if (still_to_do := check(self._cluster)) is not None:
                    await still_to_do

    # --- steps -----------------------------------------------------------------------------------------------

    def _begin(self, step: Step) -> None:
        self._simulation.note(f"step: {step}")
        if step.action == "pause":  # nobody needs to wait for its end
            self._tasks.append(self._group.create_task(self._fault(step)))
        elif step.action in FAULTS:
            self._spawn(str(step), self._fault(step))
        else:
            self._spawn(str(step), self._operation(step))

    def _spawn(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        self._spawned += 1
        number = self._spawned
        self._under_way[number] = what
        task = self._group.create_task(work)
        task.add_done_callback(lambda _: self._under_way.pop(number))

    async def _starting(self, node: SimulatedNode) -> None:
        await self._fault(Step(0, 0.0, "start", ((self._cluster.nodes.index(node),),)))

    async def _fault(self, step: Step) -> None:
        try:
            has_happened = await self._faults.happen(step)
        except (FoundationError, OSError) as error:
            raise Violation(NODES_START_AND_LEAVE, f"{step}: {type(error).__name__}: {error}") from error
        self._happened[step.action if has_happened else f"{step.action}: made no sense"] += 1

    async def _operation(self, step: Step) -> None:
        ended = "result"
        try:
            await self._scenario.operations[step.action](self._cluster, Random(step.seed))
        except Exception as error:
            if (reason := _not_of_faults(error)) is not None:
                is_wrong = isinstance(reason, AssertionError)
                text = f"{step}: {reason if is_wrong else repr(reason)}"
                raise Violation(step.action if is_wrong else OPERATIONS_FAIL_WELL, text) from error
            ended = type(error.__cause__ if isinstance(error, RemoteError) and error.__cause__ else error).__name__
        self._happened[f"{step.action}: {ended}"] += 1

    # --- waiting ---------------------------------------------------------------------------------------------

    async def _until_all_ended(self) -> None:
        """Wait until operations, starts and leaves have ended."""
        deadline = self._simulation.now + self._scenario.ends_within_s
        while self._under_way:
            if self._simulation.now >= deadline:
                left = "; ".join(self._under_way.values())
                raise Violation(EVERYTHING_ENDS, f"not in {self._scenario.ends_within_s} s: {left}")
            await asyncio.sleep(_LOOK_S)

    async def _until_agreed(self) -> None:
        try:
            await self._cluster.until_agreed(self._scenario.agree_within_s)
        except WaitFailed as error:
            raise Violation(VIEWS_AGREE, str(error)) from error


@contextmanager
def _named(invariant: str) -> Generator[None]:
    """Say which invariant it is that does not hold."""
    try:
        yield
    except Violation:
        raise
    except AssertionError as error:
        raise Violation(invariant, str(error) or "it does not hold") from error


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what does not hold, if that is among it: the rest may be a consequence."""
    found = [_first_of(one) if isinstance(one, BaseExceptionGroup) else one for one in failures.exceptions]
    return next((failure for failure in found if isinstance(failure, Violation)), found[0])


def _not_of_faults(error: BaseException) -> BaseException | None:
    """Return what an operation raised, at the node where it ran, that faults do not explain."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for one in error.exceptions if (found := _not_of_faults(one)) is not None), None)
    if isinstance(error, RemoteError) and error.__cause__ is not None:
        return _not_of_faults(error.__cause__)
    return None if isinstance(error, FoundationError) else error
