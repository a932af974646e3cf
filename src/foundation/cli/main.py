"""The program ``foundation``: from what was typed to a command, and from what went wrong to a line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from foundation.cli.certs import certs
from foundation.cli.config import config
from foundation.cli.demo import demo
from foundation.cli.discover import discover
from foundation.cli.doctor.command import doctor
from foundation.cli.failure import CommandFailed
from foundation.cli.moving import drain, migrate, undrain
from foundation.cli.node import node
from foundation.cli.reconfiguring import reconfigure
from foundation.cli.status import status
from foundation.core.version import __version__
from foundation.errors import ConfigurationError, FoundationError

_FAILED = 1
_BAD_INPUT = 2
_INTERRUPTED = 130

app = typer.Typer(
    help="A masterless cluster in a library: start nodes, see who is in, watch one at work.",
    add_completion=False,
    rich_markup_mode=None,  # rich would cost every node some megabytes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(node)
app.command()(status)
app.command()(migrate)
app.command()(drain)
app.command()(undrain)
app.command()(reconfigure)
app.add_typer(certs, name="certs")
app.command()(config)
app.command()(discover)
app.command()(doctor)


@app.callback(invoke_without_command=True)
def foundation(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> int:
    """Print the version, or without a command the help."""
    if version:
        print(f"foundation {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was typed and return the exit code: 2 for bad input, 1 for what failed, each with one line on stderr."""
    try:
        return int(app(args=arguments, prog_name="foundation", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except Exception as error:  # noqa: BLE001 - what no user can cause is raised again
        message, exit_code = _explain(error)
        print(message, file=sys.stderr)
        return exit_code


def _explain(error: Exception) -> tuple[str, int]:
    """Turn what a user can cause into a message and an exit code; raise anything else again, with its traceback."""
    if isinstance(error, CommandFailed):
        return "\n  ".join([_line(str(error)), *error.details]), error.exit_code
    if isinstance(error, FoundationError):
        first, *others = str(error).splitlines() or [""]  # a configuration can have many problems
        lines = [_line(first), *(f"  {' '.join(line.split())}" for line in others)]
        return "\n".join(lines), _BAD_INPUT if isinstance(error, ConfigurationError) else _FAILED
    explain = getattr(error, "format_message", None)  # the parser's errors: their class moves between its versions
    if explain is None:
        raise error
    return _line(f"{explain()} (`foundation --help` shows what there is)"), _BAD_INPUT


def _line(message: str) -> str:
    return f"foundation: {' '.join(message.split())}"
