"""``foundation config``: what this node would be, where each value came from, and what is wrong with it."""

from __future__ import annotations

import json as json_format
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from foundation.cli.failure import CommandFailed
from foundation.config.loading import check, choose, settings_of
from foundation.config.reading import Reading, read_sources


def config(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="Read this file. Default: $FOUNDATION_CONFIG, else the nearest foundation.toml."
        ),
    ] = None,
    *,
    profile: Annotated[str | None, typer.Option(help="development, production, enterprise or auto.")] = None,
    cluster_name: Annotated[
        str | None, typer.Option("--cluster-name", metavar="NAME", help="Show it for this one of several clusters.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of the file, for editors.")] = False,
    only_check: Annotated[bool, typer.Option("--check", help="Say what is wrong; exit code 1 if anything is.")] = False,
) -> int:
    """Show each value of the configuration and where it came from."""
    if schema:
        from foundation.config.schema import file_schema  # noqa: PLC0415 - pydantic

        print(json_format.dumps(file_schema(), indent=2))
        return 0
    reading = read_sources({"config": file, "profile": profile, "cluster_name": cluster_name}, os.environ)
    if only_check:
        return _check(reading)
    _show(reading, as_json=json)
    return 0


def _check(reading: Reading) -> int:
    problems = check(reading)
    if problems:
        message = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the configuration"
        raise CommandFailed(message, details=problems)
    print(f"{reading.file or 'the environment (there is no file)'} is fine")
    return 0


def _show(reading: Reading, *, as_json: bool) -> None:
    from foundation.config.explanation import explain  # noqa: PLC0415

    is_one = len(reading.clusters()) < 2 or ("cluster_name",) in reading.merged()  # noqa: PLR2004
    merged = choose(reading) if is_one else reading.merged()
    settings = settings_of(merged, reading.problems)
    reading.problems.raise_if_any()
    assert settings is not None  # noqa: S101 - or there would be problems
    rows = explain(settings, merged)
    if as_json:
        values = {row.key: {name: part for name, part in asdict(row).items() if name != "key"} for row in rows}
        file = None if reading.file is None else str(reading.file)
        print(json_format.dumps({"file": file, "profile": reading.profile, "values": values}, indent=2))
    else:
        from foundation.cli.config_table import print_values  # noqa: PLC0415 - rich

        print_values(rows, reading.file, reading.profile)
