"""``foundation certs init`` and ``foundation certs issue``: certificates for clusters that have no authority."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.cli.failure import CommandFailed

if TYPE_CHECKING:
    from foundation.cli.authority import Made

certs = typer.Typer(help="Make certificates for the nodes of a cluster.", no_args_is_help=True, rich_markup_mode=None)

Replace = Annotated[bool, typer.Option("--replace", help="Make new ones where there are some already.")]
Authority = Annotated[Path, typer.Option(metavar="FOLDER", help="Where the authority is.")]
_AUTHORITY = Path("authority")


@certs.command()
def init(
    *,
    authority: Authority = _AUTHORITY,
    name: Annotated[str, typer.Option(help="What certificates call the authority.")] = "foundation",
    days: Annotated[float, typer.Option(min=1, help="How long it is good.")] = 3650,
    replace: Replace = False,
) -> int:
    """Make an authority: a certificate for all nodes to believe, and a key to keep away from them."""
    from foundation.cli.authority import make_authority  # noqa: PLC0415 - needs an extra

    made = _writing(lambda: make_authority(authority, name, days, replace=replace))
    print(f"made {_listed(made.files)}, good until {made.expires:%Y-%m-%d}")
    print(f"keep {made.files[1]} away from the nodes: who has it can make nodes of the cluster")
    return 0


@certs.command()
def issue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the certificate calls the node.")],
    addresses: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ADDRESS]...", help="Names and IP addresses at which it is dialed; for verify_names."),
    ] = None,
    *,
    authority: Authority = _AUTHORITY,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where to write it. Default: NAME.")] = None,
    days: Annotated[
        float, typer.Option(min=0.001, help="How long it is good, at most as long as the authority.")
    ] = 365,
    believe: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Another authority that the node is to believe too; repeatable."),
    ] = None,
    replace: Replace = False,
) -> int:
    """Make what one node needs for TLS: its certificate, its key, and whom it is to believe."""
    from foundation.cli.authority import issue as issue_certificate  # noqa: PLC0415 - needs an extra

    folder = Path(name) if out is None else out
    made = _writing(
        lambda: issue_certificate(
            authority, folder, name, addresses or (), days, believe=believe or (), replace=replace
        )
    )
    print(f"made {_listed(made.files)}, good until {made.expires:%Y-%m-%d}")
    print(f"on that node: FOUNDATION_TLS={folder.absolute()}")
    return 0


def _writing(make: Callable[[], Made]) -> Made:
    try:
        return make()
    except OSError as error:
        message = f"{error.filename} cannot be written: {error.strerror}"
        raise CommandFailed(message) from None


def _listed(files: tuple[Path, ...]) -> str:
    return ", ".join(map(str, files))
