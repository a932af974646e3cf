"""The folder strategy: the contract, the dead, and everything that can lie in a folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from pathlib import Path

import msgspec
import pytest

from foundation.core.identity import NodeId
from foundation.discovery.folder import MOST_BYTES, OwnFile, file_name
from foundation.discovery.peers import Announcement
from foundation.discovery.strategies.local import LocalOptions, LocalStrategy
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.discovery.announcing import announcement, peer_of
from tests.discovery.contract import StrategyContract

NODE = """
import asyncio, os, sys
import msgspec
from foundation.discovery.peers import Announcement
from foundation.discovery.strategies.local import LocalOptions, LocalStrategy

announced = msgspec.json.decode(sys.argv[2], type=Announcement)
strategy = LocalStrategy(LocalOptions(folder=sys.argv[1]))
asyncio.run(strategy.start(announced))
if sys.argv[4:] == ["fork"] and not os.fork():
    os.close(0)
    os.close(1)
    os.read(int(sys.argv[3]), 1)  # until the test closes the other end
    os._exit(0)
print("announced", flush=True)
sys.stdin.read()
"""


class TestLocalContract(StrategyContract):
    """The folder strategy keeps the contract."""

    @pytest.fixture
    def make(self, tmp_path: Path) -> Callable[[], DiscoveryStrategy]:
        self.folder = tmp_path
        return lambda: LocalStrategy(LocalOptions(folder=str(tmp_path)))

    async def spoil(self) -> None:
        for cluster in self.folder.iterdir():
            (cluster / "half.json").write_text('{"node": "ha')
            (cluster / "empty.json").touch()
            (cluster / "folder.json").mkdir()
            (cluster / "unrelated.txt").write_text("hello")


@pytest.fixture
async def mine(tmp_path: Path) -> AsyncIterator[tuple[LocalStrategy, Announcement, Path]]:
    """Return a started strategy, what it announces, and the folder of its cluster."""
    announced = announcement("shop")
    strategy = LocalStrategy(LocalOptions(folder=str(tmp_path)))
    await strategy.start(announced)
    yield strategy, announced, tmp_path / "shop"
    await strategy.stop()


Mine = tuple[LocalStrategy, Announcement, Path]


@contextlib.asynccontextmanager
async def node_process(
    parent: Path, announced: Announcement, *extra: str
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """Run a node in an OS process of its own that has announced itself."""
    text = msgspec.json.encode(announced).decode()
    read_end, write_end = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NODE, str(parent), text, str(read_end), *extra,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pass_fds=[read_end],
    )  # fmt: skip
    os.close(read_end)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"announced\n"
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        os.close(write_end)
        await process.communicate()


@pytest.mark.parametrize("extra", [(), ("fork",)], ids=["alone", "with a forked child that lives on"])
async def test_killed_node_is_forgotten(mine: Mine, extra: tuple[str, ...]) -> None:
    """A node in another OS process is found while it lives, and gone with its file at once after kill -9."""
    strategy, announced, folder = mine
    other = announcement(announced.cluster)
    async with node_process(folder.parent, other, *extra) as process:
        assert set(await strategy.lookup()) == {peer_of(other)}
        process.send_signal(signal.SIGKILL)
        await process.wait()
        assert set(await strategy.lookup()) == set()
        assert [file.name for file in folder.iterdir()] == [f"{announced.node}.json"]


async def test_stopped_node_is_still_there(mine: Mine) -> None:
    """A node that is merely suspended keeps its place: whether it is well is not for discovery to say."""
    strategy, announced, folder = mine
    other = announcement(announced.cluster)
    async with node_process(folder.parent, other) as process:
        process.send_signal(signal.SIGSTOP)
        assert set(await strategy.lookup()) == {peer_of(other)}
        process.send_signal(signal.SIGCONT)


async def test_removed_file_is_put_back(mine: Mine) -> None:
    """A file that somebody removed, or replaced, is there again after the next lookup."""
    strategy, announced, folder = mine
    file = folder / f"{announced.node}.json"
    file.unlink()
    await strategy.lookup()
    assert msgspec.json.decode(file.read_bytes(), type=Announcement) == announced
    file.unlink()
    file.write_text("mine now")
    await strategy.lookup()
    assert msgspec.json.decode(file.read_bytes(), type=Announcement) == announced


async def test_removed_folder_is_put_back(mine: Mine) -> None:
    """A folder that somebody removed is there again after the next lookup, private to this user."""
    strategy, announced, folder = mine
    (folder / f"{announced.node}.json").unlink()
    folder.rmdir()
    assert set(await strategy.lookup()) == set()
    assert (folder / f"{announced.node}.json").exists()
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_files_are_private(mine: Mine) -> None:
    """Nobody but this user can read an announcement or put one there."""
    _, announced, folder = mine
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{announced.node}.json").stat().st_mode & 0o777 == 0o600


async def test_dead_garbage_is_removed(mine: Mine) -> None:
    """What carries the ending of an announcement and is held by nobody goes away; other files stay."""
    strategy, announced, folder = mine
    (folder / "half.json").write_text('{"node": "ha')
    (folder / "huge.json").write_bytes(b" " * (MOST_BYTES + 1))
    (folder / "notes.txt").write_text("stay")
    await strategy.lookup()
    assert {file.name for file in folder.iterdir()} == {f"{announced.node}.json", "notes.txt"}


async def test_links_and_pipes_are_not_followed(mine: Mine, tmp_path: Path) -> None:
    """A symbolic link is not read and its target stays; a pipe does not make a lookup hang."""
    strategy, _, folder = mine
    target = tmp_path / "target"
    target.write_text("precious")
    (folder / "link.json").symlink_to(target)
    os.mkfifo(folder / "pipe.json")
    assert set(await strategy.lookup()) == set()
    assert target.read_text() == "precious"


@contextlib.contextmanager
def held(folder: Path, name: str, content: bytes) -> Generator[None, None, None]:
    with (folder / name).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(content)
        file.flush()
        yield


@pytest.mark.parametrize(
    "change",
    [
        b"",
        b"[]",
        b'{"node": 1}',
        b"\xff\xfe",
        b'{"node":"n","name":"x","cluster":"shop","version":"1","addresses":["no port"]}',
        b'{"node":"n","name":"x","cluster":"shop","version":"1","addresses":[]}',
        b'{"node":"other","name":"x","cluster":"shop","version":"1","addresses":["h:1"]}',
        b'{"node":"n","name":"x","cluster":"bank","version":"1","addresses":["h:1"]}',
        b" " * (MOST_BYTES + 1),
    ],
)
async def test_living_garbage_is_ignored(mine: Mine, change: bytes) -> None:
    """A locked file with nonsense, another cluster or another identity is no peer, and is left to its owner."""
    strategy, _, folder = mine
    with held(folder, "n.json", change):
        assert set(await strategy.lookup()) == set()
        assert (folder / "n.json").exists()


async def test_unnamed_file_of_a_starting_node_stays(mine: Mine) -> None:
    """A file that is just being written is left alone; one forgotten long ago is removed."""
    strategy, _, folder = mine
    (folder / "young.new").touch()
    (folder / "old.new").touch()
    os.utime(folder / "old.new", (1, 1))
    await strategy.lookup()
    assert (folder / "young.new").exists()
    assert not (folder / "old.new").exists()


async def test_foreign_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of another user is not used; the message names both users."""
    (tmp_path / "shop").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigurationError, match=r"belongs to the user with the number .* not to 12345"):
        await LocalStrategy(LocalOptions(folder=str(tmp_path))).start(announcement("shop"))


async def test_open_folder_is_refused(tmp_path: Path) -> None:
    """A folder in which other users can write is not used."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop").chmod(0o777)
    with pytest.raises(ConfigurationError, match="can be written by other users"):
        await LocalStrategy(LocalOptions(folder=str(tmp_path))).start(announcement("shop"))


async def test_link_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    """A symbolic link in the place of the folder is not followed."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "shop").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="is not a folder"):
        await LocalStrategy(LocalOptions(folder=str(tmp_path))).start(announcement("shop"))


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_impossible_folder_is_a_clear_error(tmp_path: Path) -> None:
    """A folder that cannot be made is named together with the cause."""
    (tmp_path / "file").touch()
    with pytest.raises(DiscoveryError, match="file/shop cannot be made: "):
        await LocalStrategy(LocalOptions(folder=str(tmp_path / "file"))).start(announcement("shop"))


async def test_full_disk_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An announcement that cannot be written is reported with its cause and leaves nothing behind."""

    def full(handle: int, content: bytes) -> int:
        del handle, content
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    strategy = LocalStrategy(LocalOptions(folder=str(tmp_path)))
    with pytest.raises(DiscoveryError, match=r"cannot be announced in .*: No space left on device"):
        await strategy.start(announcement("shop"))
    monkeypatch.undo()
    assert names_in(tmp_path / "shop") == []
    await strategy.stop()


async def test_identity_cannot_leave_the_folder(tmp_path: Path) -> None:
    """An identity with a path in it is refused before a file is touched."""
    bad = Announcement(NodeId("../../x"), "n", "shop", "1", ("h:1",))
    with pytest.raises(ConfigurationError, match="cannot be the name of a file"):
        await LocalStrategy(LocalOptions(folder=str(tmp_path))).start(bad)
    assert names_in(tmp_path) == []


def test_cluster_names_become_safe_and_stay_different() -> None:
    """Whatever a cluster is called, its folder is one plain name of its own."""
    names = ["shop", "Shop", "shop/../x", "..", "", "ü", "a" * 64, "a" * 65, "shop.1", "con\x00trol", "shop-"]
    safe = [file_name(name) for name in names]
    assert len(set(safe)) == len(names)
    assert all(len(name) <= 64 and name not in ("", ".", "..") for name in safe)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.") for name in safe)
    assert file_name("shop") == "shop"


def test_closing_leaves_a_file_that_is_not_ours(tmp_path: Path) -> None:
    """Who closes removes its own file only, not one that has taken its place."""
    file = OwnFile(tmp_path, "n", b"{}")
    (tmp_path / "n.json").unlink()
    (tmp_path / "n.json").write_text("another")
    file.close()
    file.close()
    assert (tmp_path / "n.json").read_text() == "another"


async def test_default_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an option the nodes of a user meet in the user's folder for running programs."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    announced = announcement("shop")
    strategy = LocalStrategy()
    await strategy.start(announced)
    assert names_in(tmp_path / "foundation" / "shop") == [f"{announced.node}.json"]
    await strategy.stop()
