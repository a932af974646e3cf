"""The strategies: whether what they stand on is installed, and whom each of them finds."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from dataclasses import replace

from foundation.cli.doctor.finding import Finding, bad, ok, problem
from foundation.cli.doctor.subject import Subject
from foundation.cli.joining import run
from foundation.cli.looking import looker
from foundation.config import Config
from foundation.config.detection import why_not
from foundation.discovery.bounded import BoundedCallError
from foundation.discovery.extras import not_installed
from foundation.errors import ConfigurationError, MissingExtraError

_START_S, _LOOKUP_S = 4.0, 4.0


def check_extras(subject: Subject) -> Iterator[Finding]:
    """Say which libraries are missing."""
    names = dict.fromkeys((*subject.strategies, *subject.fallback))
    missing = {name: libraries for name in names if (libraries := not_installed(name))}
    for name, libraries in missing.items():
        yield problem(
            f"the strategy {name} needs {' and '.join(libraries)}, not installed here",
            f'pip install "foundation[{name}]"',
        )
    if subject.settings.probe_port is not None and importlib.util.find_spec("uvicorn") is None:
        yield problem("probe_port needs uvicorn, not installed here", 'pip install "foundation[probes]"')
        return
    if not missing:
        yield ok(f"what {', '.join(names)} need{'s' if len(names) == 1 else ''} is installed")


def check_strategies(subject: Subject) -> Iterator[Finding]:
    """Let each strategy look once, without announcing a node."""
    config = subject.config
    if config is None:
        for name in (*subject.strategies, *subject.fallback):
            if (why := why_not(name, subject.merged)) is not None:
                yield problem(f"{name}: {why}", "set what it needs")
        yield bad("nobody was looked for, as the configuration is wrong", "correct that first", matters=False)
        return
    hurried = replace(config, discovery=replace(config.discovery, start_timeout_s=_START_S, lookup_timeout_s=_LOOKUP_S))
    yield from run(lambda: _look_by_all(subject, hurried))


async def _look_by_all(subject: Subject, config: Config) -> list[Finding]:
    async with asyncio.TaskGroup() as group:
        looking = [
            group.create_task(_look(name, config, matters=name in subject.strategies))
            for name in dict.fromkeys((*subject.strategies, *subject.fallback))
        ]
    return [each.result() for each in looking]


async def _look(name: str, config: Config, *, matters: bool) -> Finding:
    try:
        async with looker(name, config) as looking:
            found = await looking.look()
    except MissingExtraError as error:
        seen, _, advice = str(error).rpartition(": ")
        return bad(seen, advice, matters=matters)
    except (BoundedCallError, ConfigurationError) as error:
        return bad(f"{name}: {error}", f"`foundation discover {name}` tries it again", matters=matters)
    count = f"{len(found)} node{'s' if len(found) > 1 else ''}" if found else "nobody"
    return ok(f"{name} works, and finds {count} right now")
