"""The strategy `postgres` against a real PostgreSQL: the contracts, rights, the table, and what else can happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest

from foundation.discovery.strategies.postgres import PostgresOptions, PostgresStrategy
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.discovery.announcing import announcement, peer_of
from tests.discovery.contract import Start, StrategyContract
from tests.discovery.dying import check_death
from tests.discovery.faults import PERIOD_S, Fault, FaultContract
from tests.services.postgres import PostgresServer, postgres_server
from tests.services.proxy import Proxy
from tests.services.server import free_port
from tests.services.source import ProxiedSource


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as made:
        yield made


@pytest.fixture
async def run(server: PostgresServer) -> AsyncIterator[Callable[..., Any]]:
    connection = await psycopg.AsyncConnection.connect(server.dsn(), autocommit=True)

    async def run(statement: Any, *arguments: Any) -> list[Any]:
        cursor = await connection.execute(statement, arguments or None)
        return await cursor.fetchall() if cursor.description else []

    yield run
    await connection.close()


class TestPostgresContract(StrategyContract):
    """Nodes that meet in a real PostgreSQL."""

    @pytest.fixture
    def make(self, server: PostgresServer, run: Callable[..., Any]) -> Callable[[], DiscoveryStrategy]:
        self.run = run
        return lambda: PostgresStrategy(PostgresOptions(dsn=server.dsn()))

    async def spoil(self) -> None:
        for number, value in enumerate(["", "{}", "[1,2]", "null", '{"node":"x"}', "x" * 70_000]):
            await self.run(
                "INSERT INTO foundation_nodes VALUES (%s, %s, %s, now() + '1 h')",
                self.cluster,
                f"spoilt{number}",
                value,
            )

    async def test_wakes_when_somebody_comes_or_goes(self, start: Start) -> None:
        """What a node says when it comes or goes is heard, also between two waits."""
        one = announcement()
        first = await start(one)
        second = await start(announcement(one.cluster))
        async with asyncio.timeout(5):
            await first.lookup()
            await first.wait_changed()
            waiting = asyncio.ensure_future(first.wait_changed())
            await second.stop()
            await waiting

    async def test_a_lost_row_is_written_again(self, start: Start) -> None:
        """A node whose row was deleted is there again with its next lookup."""
        one = announcement()
        two = announcement(one.cluster)
        first, second = await start(one), await start(two)
        await self.run("DELETE FROM foundation_nodes")
        assert not set(await first.lookup())
        await second.lookup()
        assert set(await first.lookup()) == {peer_of(two)}

    async def test_rows_of_the_long_dead_are_deleted(self, start: Start) -> None:
        """A newcomer deletes rows whose time was over long ago, and leaves those of the recently dead."""
        one = announcement()
        await start(one)
        for node, ago in (("recent", "1 h"), ("old", "25 h")):
            await self.run(
                "INSERT INTO foundation_nodes VALUES (%s, %s, '', now() - %s::interval)", one.cluster, node, ago
            )
        two = announcement(one.cluster)
        await start(two)
        nodes = await self.run("SELECT node FROM foundation_nodes WHERE cluster = %s", one.cluster)
        assert {node for (node,) in nodes} == {one.node, two.node, "recent"}

    async def test_many_make_the_table_at_once(self, server: PostgresServer) -> None:
        """Nodes that are started together all find that the table is there, and each other."""
        one = announcement()
        several = [announcement(one.cluster) for _ in range(6)]
        made = [PostgresStrategy(PostgresOptions(dsn=server.dsn(), table="together")) for _ in several]
        await asyncio.gather(*(each.start(told) for each, told in zip(made, several, strict=True)))
        assert set(await made[0].lookup()) == {peer_of(told) for told in several[1:]}
        for each in made:
            await each.stop()


async def test_dies_with_its_row(server: PostgresServer) -> None:
    """A node that is killed is gone after its time to live, the others stay."""
    options = PostgresOptions(dsn=server.dsn(), ttl_s=0.6, poll_interval_s=0.1)
    await check_death(lambda: PostgresStrategy(options), 0.6)


class Source(ProxiedSource):
    """A real PostgreSQL behind a proxy, whose table drops what is written into it while it is to be empty."""

    def __init__(self, server: PostgresServer, proxy: Proxy) -> None:
        super().__init__(server.server, proxy, lambda _: None)
        self._dsn = server.dsn()
        self._is_empty = False

    def dsn(self) -> str:
        return self._dsn.replace(self._dsn.split()[1], f"port={self.port}")

    async def misbehave(self, fault: Fault | None) -> None:
        if fault != "empty" and not self._is_empty:
            await super().misbehave(fault)
            return
        self._is_empty = fault == "empty"
        rule = "CREATE RULE nobody AS ON INSERT TO foundation_nodes DO INSTEAD SELECT false"
        empty = [rule, "CREATE TABLE kept AS SELECT * FROM foundation_nodes", "DELETE FROM foundation_nodes"]
        full = [
            "DROP RULE nobody ON foundation_nodes",
            "INSERT INTO foundation_nodes SELECT * FROM kept",
            "DROP TABLE kept",
        ]
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            for statement in empty if self._is_empty else full:
                await connection.execute(statement)  # type: ignore[call-overload]


class TestPostgresFaults(FaultContract):
    """A real PostgreSQL that hangs, is killed, has its table emptied, or stands behind a bad line."""

    @pytest.fixture
    async def source(self, server: PostgresServer) -> AsyncIterator[Source]:
        async with Proxy(server.port) as proxy:
            yield Source(server, proxy)

    def make(self, source: Source) -> DiscoveryStrategy:
        return PostgresStrategy(PostgresOptions(dsn=source.dsn(), poll_interval_s=PERIOD_S))


async def test_rights_on_the_table_are_enough(server: PostgresServer, run: Callable[..., Any]) -> None:
    """A user without the right to make tables is told what to run, and when that was run, it works."""
    await run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    await run('CREATE ROLE "an ne" LOGIN')
    options = PostgresOptions(dsn=server.dsn("'an ne'"), table="guarded")
    strategy = PostgresStrategy(options)
    grant = ""
    for _ in range(2):  # first the table is missing, then the right to use it
        with pytest.raises(DiscoveryError, match="let its owner run: CREATE TABLE") as caught:
            await strategy.start(announcement())
        await strategy.stop()
        creation, grant = str(caught.value).partition("let its owner run: ")[2].split("; ", 1)
        await run(creation)
    await run(grant)
    one = announcement()
    two = announcement(one.cluster)
    second = PostgresStrategy(options)
    await strategy.start(one)
    await second.start(two)
    assert set(await strategy.lookup()) == {peer_of(two)}
    await second.stop()
    await strategy.stop()


async def test_a_table_in_another_schema(server: PostgresServer, run: Callable[..., Any]) -> None:
    """The table may stand in a schema, which is not made; the error gives the line that makes it."""
    strategy = PostgresStrategy(PostgresOptions(dsn=server.dsn(), table="Shop.Nodes"))
    with pytest.raises(DiscoveryError, match='CREATE SCHEMA "Shop";'):
        await strategy.start(announcement())
    await strategy.stop()
    await run('CREATE SCHEMA "Shop"')
    await strategy.start(announcement())
    assert len(await run('SELECT node FROM "Shop"."Nodes"')) == 1
    await strategy.stop()
    assert await run('SELECT node FROM "Shop"."Nodes"') == []


async def test_a_table_of_somebody_else(server: PostgresServer, run: Callable[..., Any]) -> None:
    """A table with other columns is left alone and the error says so."""
    await run("CREATE TABLE IF NOT EXISTS taken (x int)")
    strategy = PostgresStrategy(PostgresOptions(dsn=server.dsn(), table="taken"))
    with pytest.raises(DiscoveryError, match="has other columns"):
        await strategy.start(announcement())
    await strategy.stop()


async def test_a_wrong_password_is_one_clear_line(server: PostgresServer) -> None:
    """The error of a refused or missing server is one line and shows no password."""
    for dsn in (server.dsn("nobody", "hush"), server.dsn("nobody", "hush", free_port())):
        strategy = PostgresStrategy(PostgresOptions(dsn=dsn))
        with pytest.raises(DiscoveryError, match="is dsn right") as caught:
            await strategy.start(announcement())
        assert "hush" not in str(caught.value)
        assert "\n" not in str(caught.value)
        await strategy.stop()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dsn": "http://:hush@127.0.0.1"}, "is written postgresql://"),
        ({"ttl_s": 5.0}, "at least twice as long"),
        ({"table": "nodes; DROP TABLE x"}, "is written table or schema.table"),
        ({"table": "a.b.c"}, "is written table or schema.table"),
    ],
)
def test_wrong_options_are_refused(wrong: Any, says: str) -> None:
    """An option that cannot work is an error before anything is asked, and shows no password."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        PostgresStrategy(PostgresOptions(**wrong))
    assert "hush" not in str(caught.value)


def test_the_password_is_not_shown() -> None:
    """The options can be logged."""
    assert "hush" not in repr(PostgresOptions(dsn="postgresql://:hush@127.0.0.1"))
