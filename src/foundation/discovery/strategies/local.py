"""Find the nodes of this user on this host through a folder, without any network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from foundation.core.identity import NodeId
from foundation.discovery.folder import OwnFile, file_name, living_files, open_folder, running_folder
from foundation.discovery.peers import Announcement, Peer, checked_peer
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """Where the nodes of a host meet."""

    folder: str | None = None
    """The folder that holds one folder for each cluster; None takes the user's folder for running programs."""

    poll_interval_s: float = 0.5
    """Seconds between two looks into the folder; less finds new nodes sooner, more costs less."""


class LocalStrategy(DiscoveryStrategy):
    """Keep a locked file with the announcement in the folder of the cluster and read the others'."""

    Options: ClassVar[type[LocalOptions]] = LocalOptions

    def __init__(self, options: LocalOptions | None = None) -> None:
        """Touch nothing yet."""
        self._options = options or LocalOptions()
        self.poll_interval_s = self._options.poll_interval_s
        self._folder = Path()
        self._announcement: Announcement | None = None
        self._file: OwnFile | None = None

    async def start(self, announcement: Announcement) -> None:
        """Make the folder and the file of this node."""
        if not re.fullmatch(r"[0-9A-Za-z]{1,64}", announcement.node):
            message = f"the identity {announcement.node!r} cannot be the name of a file"
            raise ConfigurationError(message)
        self._folder = (self._parent() / file_name(announcement.cluster)).absolute()
        self._announcement = announcement
        if self.announces:
            self._announce(announcement)

    async def lookup(self) -> Iterable[Peer]:
        """Read the files of the living; put back what is missing of ours."""
        announcement = self._announcement
        if announcement is None:
            return ()
        if self.announces and (self._file is None or not self._file.is_there()):
            self._announce(announcement)
        try:
            return tuple(self._peers(announcement))
        except OSError as error:
            if not self.announces and isinstance(error, FileNotFoundError):  # no node has made it
                return ()
            message = f"the discovery folder {self._folder} cannot be read: {error.strerror}"
            raise DiscoveryError(message) from error

    async def stop(self) -> None:
        """Remove the file of this node."""
        self._announcement = None
        self._withdraw()

    def _parent(self) -> Path:
        return running_folder() if self._options.folder is None else Path(self._options.folder).expanduser()

    def _announce(self, announcement: Announcement) -> None:
        self._withdraw()
        open_folder(self._folder)
        self._file = OwnFile(self._folder, announcement.node, msgspec.json.encode(announcement))

    def _withdraw(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _peers(self, announcement: Announcement) -> Iterator[Peer]:
        for node, content in living_files(self._folder):
            if node == announcement.node:
                continue
            try:
                other = _decoder.decode(content)
                peer = checked_peer(Peer(other.addresses, NodeId(node), other.name))
            except (msgspec.MsgspecError, ConfigurationError, TypeError):
                continue
            if other.cluster == announcement.cluster and other.node == node:
                yield peer


_decoder = msgspec.json.Decoder(Announcement)

Strategy = LocalStrategy
