"""The cookie and the certificates of a node, which can be replaced while it runs."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Self

from foundation.config import Config, read_cookie
from foundation.core.secret import Secret
from foundation.core.tasks import TaskScope
from foundation.discovery import Discovery
from foundation.errors import ConfigurationError, FabricError
from foundation.fabric import Fabric

logger = logging.getLogger(__name__)

_Stamp = tuple[float, int, int]


class Credentials:
    """What a node proves itself by: ``cluster.credentials``."""

    def __init__(self, fabric: Fabric, discovery: Discovery, config: Config) -> None:
        tls = config.fabric.tls
        named = [config.cookie_file, *((tls.certificate, tls.private_key, tls.authority) if tls else ())]
        self._fabric = fabric
        self._discovery = discovery
        self._cookie_file = Path(config.cookie_file).absolute() if config.cookie_file else None
        self._files = [Path(file).absolute() for file in named if file]
        self._options = config.fabric
        self._tasks = TaskScope("credentials")

    async def __aenter__(self) -> Self:
        if self._files:
            self._tasks.start(self._keep_renewing(), "keep credentials")
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self._tasks.close()

    async def renew(self, cookie: str | None = None) -> None:
        """Take another cookie, and read the certificates again. Calls go on meanwhile.

        Of several lines in ``cookie`` the first is used, and the others are accepted from other nodes too. So a cookie
        is replaced in three steps, each on all nodes, one after the other: old and new, new and old, new. Raises
        :class:`ConfigurationError` when the certificates are no good: then all stays as it was.
        """
        await self._renew(None if cookie is None else Secret(cookie))

    async def _renew(self, cookie: Secret | None) -> None:
        await self._fabric.renew(cookie)
        if cookie is not None:
            self._discovery.use_cookie(cookie)

    async def _keep_renewing(self) -> None:
        """Renew them whenever the files change that the cookie and the certificates were read from."""
        known = seen = self._stamps()
        while True:
            await asyncio.sleep(self._options.credentials_poll_s)
            before, seen = seen, self._stamps()
            if seen == known or seen != before:  # while they change they may be half written
                continue
            known = seen
            try:
                cookie = None if self._cookie_file is None else read_cookie(self._cookie_file)
                await self._renew(cookie)
            except (ConfigurationError, FabricError, OSError) as error:
                logger.error("cookie and certificates stay as they were, though files have changed: %s", error)  # noqa: TRY400
            else:
                logger.info("cookie and certificates were read again, as files have changed")

    def _stamps(self) -> list[_Stamp | None]:
        return [_stamp(file) for file in self._files]


def _stamp(file: Path) -> _Stamp | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime, status.st_size, status.st_ino
