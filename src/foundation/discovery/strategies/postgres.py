"""Find nodes through a table in PostgreSQL: each keeps a row there that is renewed until it stops.

Consistency: what the primary says, by its clock alone; a node that stops deletes its row, that of one that died is
passed over once its time is over, and deleted long after.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

from foundation.discovery.announced import read_announcements, write_announcement
from foundation.discovery.extras import missing_extra
from foundation.discovery.heartbeat import check_heartbeat
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

MOST_ROWS = 20_000
NAME = "postgres"
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Which PostgreSQL to ask, and how this node is kept there."""

    dsn: str = field(default="", repr=False)
    """``postgresql://user:password@host:port/database?sslmode=verify-full`` or ``key=value`` pairs, as libpq takes
    them, TLS and several hosts too; what is missing comes from the variables ``PG...`` of the environment."""

    table: str = "foundation_nodes"
    """The table, with its schema where wanted: ``schema.table``; made where it is missing."""

    ttl_s: float = 15.0
    """Seconds until a node that died is gone; less forgets sooner, more survives a longer outage of PostgreSQL."""

    poll_interval_s: float = 5.0
    """Seconds between two lookups, each also a heartbeat; who comes and who stops is seen at once anyway."""

    forget_after_s: float = 86_400.0
    """Seconds after the end of its time at which a dead node's row is deleted; less keeps the table smaller."""


class PostgresStrategy(DiscoveryStrategy):
    """Keep a row, read the others', and listen for who comes and goes; over one connection that stays."""

    Options: ClassVar[type[PostgresOptions]] = PostgresOptions

    def __init__(self, options: PostgresOptions | None = None) -> None:
        """Check the options, connect to nothing yet."""
        try:
            import psycopg  # noqa: PLC0415 - an extra, loaded where it is used
        except ImportError as error:
            raise missing_extra(NAME, "psycopg") from error
        self._psycopg: Any = psycopg
        self._options = options = options or PostgresOptions()
        check_heartbeat(NAME, options.ttl_s, options.poll_interval_s)
        self._table = quoted(options.table)
        self._check_dsn()
        self.poll_interval_s = options.poll_interval_s
        self._announcement: Announcement | None = None
        self._announced = False
        self._connection: Any = None
        self._channel = ""

    async def start(self, announcement: Announcement) -> None:
        """Connect, make the table where it is missing, announce this node and listen for others."""
        digest = hashlib.sha256(f"{self._table} {announcement.cluster}".encode("utf-8", "surrogatepass")).hexdigest()
        self._channel = f"foundation_{digest[:32]}"
        self._announcement = announcement
        await self._connect()

    async def lookup(self) -> Iterable[Peer]:
        """Renew our row and read those whose time is not over."""
        announcement = self._announcement
        if announcement is None:
            return ()
        if self._connection is None:
            await self._connect()
        async with self._asking():
            if self.announces:
                await self._beat(announcement)
            elif not await self._has_table():
                return ()
            rows = await self._run(
                f"SELECT node, announcement FROM {self._table}"  # noqa: S608 - a checked name
                " WHERE cluster = %s AND expires_at > clock_timestamp() LIMIT %s",
                (announcement.cluster, MOST_ROWS),
            )
        return read_announcements(rows, announcement)

    async def wait_changed(self) -> None:
        """Return when another node says that it came or goes."""
        connection, me = self._connection, self._announcement
        if connection is None or me is None:
            await super().wait_changed()
            return
        async with self._asking(), aclosing(connection.notifies()) as heard:
            async for each in heard:
                if each.payload != me.node:
                    return

    async def stop(self) -> None:
        """Delete the row, say so, and close the connection."""
        announcement, self._announcement = self._announcement, None
        announced, self._announced = self._announced, False
        try:
            if announcement is not None and announced and self._connection is not None:
                async with self._asking():
                    key = (announcement.cluster, announcement.node)
                    await self._run(f"DELETE FROM {self._table} WHERE cluster = %s AND node = %s", key)  # noqa: S608
                    await self._notify(announcement)
        finally:
            self._drop()

    async def _connect(self) -> None:
        self._drop()
        announcement = self._announcement
        async with self._asking():
            self._connection = await self._psycopg.AsyncConnection.connect(
                self._options.dsn,
                autocommit=True,
                prepare_threshold=None,  # poolers between us and the server do not keep what was prepared
                application_name="foundation",
            )
            await self._run(f"LISTEN {self._channel}")
            if not self.announces:
                return
            await self._make_table()
            await self._run(
                f"DELETE FROM {self._table} WHERE expires_at < clock_timestamp() - make_interval(secs => %s)",  # noqa: S608
                (self._options.forget_after_s,),
            )
            if announcement is not None:
                await self._beat(announcement)

    async def _make_table(self) -> None:
        if not await self._has_table():
            errors = self._psycopg.errors
            made = (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject)  # by somebody, right now
            with contextlib.suppress(*made):
                await self._run(self._creation())

    async def _has_table(self) -> bool:
        ((is_there,),) = await self._run("SELECT to_regclass(%s) IS NOT NULL", (self._table,))
        return bool(is_there)

    def _creation(self) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self._table} (cluster text, node text, announcement text NOT NULL,"
            " expires_at timestamptz NOT NULL, PRIMARY KEY (cluster, node))"
        )

    async def _beat(self, announcement: Announcement) -> None:
        self._announced = True
        rows = await self._run(
            f"INSERT INTO {self._table} (cluster, node, announcement, expires_at)"  # noqa: S608
            " VALUES (%s, %s, %s, clock_timestamp() + make_interval(secs => %s))"
            " ON CONFLICT (cluster, node) DO UPDATE"
            " SET announcement = excluded.announcement, expires_at = excluded.expires_at"
            " RETURNING xmax = 0",
            (announcement.cluster, announcement.node, write_announcement(announcement).decode(), self._options.ttl_s),
        )
        if rows == [(True,)]:  # it was not there before
            await self._notify(announcement)

    async def _notify(self, announcement: Announcement) -> None:
        await self._run("SELECT pg_notify(%s, %s)", (self._channel, announcement.node))

    async def _run(self, statement: str, arguments: tuple[Any, ...] = ()) -> list[Any]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(statement, arguments or None)
            return list(await cursor.fetchall()) if cursor.description else []

    @asynccontextmanager
    async def _asking(self) -> AsyncGenerator[None]:
        errors = self._psycopg.errors
        _asks.set(True)
        try:
            yield
        except errors.InsufficientPrivilege as error:
            message = (
                f"PostgreSQL forbids it ({_first_line(error)}); let its owner run: {self._creation()};"
                f" GRANT SELECT, INSERT, UPDATE, DELETE ON {self._table} TO {self._user()};"
            )
            raise DiscoveryError(message) from error
        except errors.InvalidSchemaName as error:
            schema = self._table.partition(".")[0]
            message = f"PostgreSQL has no such schema ({_first_line(error)}); create it: CREATE SCHEMA {schema};"
            raise DiscoveryError(message) from error
        except (errors.UndefinedColumn, errors.InvalidColumnReference) as error:
            message = f"the table {self._table} has other columns ({_first_line(error)}); set the option table"
            raise DiscoveryError(message) from error
        except (self._psycopg.Error, OSError, ValueError) as error:
            self._drop()
            message = f"PostgreSQL does not do what it is asked ({_first_line(error)}); does it run, and is dsn right?"
            raise DiscoveryError(message) from error
        except GeneratorExit:
            self._drop()  # abandoned: the connection may be anywhere
            raise
        finally:
            _asks.set(False)

    def _user(self) -> str:
        info = self._psycopg.conninfo.conninfo_to_dict(self._options.dsn)
        name = str(info.get("user") or (self._connection.info.user if self._connection is not None else "") or "USER")
        return '"' + name.replace('"', '""') + '"'

    def _drop(self) -> None:
        """Close the connection without a word, which cannot hang."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    def _check_dsn(self) -> None:
        try:
            self._psycopg.conninfo.conninfo_to_dict(self._options.dsn)
        except self._psycopg.Error:
            message = (
                f"the dsn of the discovery strategy {NAME!r} cannot be used:"
                " it is written postgresql://user:password@host:port/database"
            )
            raise ConfigurationError(message) from None  # the cause may show the password


def quoted(table: str) -> str:
    """Return the name of a table, with or without a schema, for SQL; raises ConfigurationError for another text."""
    parts = table.split(".")
    if len(parts) > 2 or not all(IDENTIFIER.fullmatch(part) for part in parts):  # noqa: PLR2004
        message = (
            f"the table {table[:100]!r} of the discovery strategy {NAME!r} cannot be used:"
            " it is written table or schema.table, with letters, digits and underscores"
        )
        raise ConfigurationError(message)
    return ".".join(f'"{part}"' for part in parts)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _is_not_ours(record: logging.LogRecord) -> bool:
    """Leave it to the framework to say that a lookup was cancelled; other connections of the program go on as ever."""
    return not _asks.get() or record.levelno < logging.WARNING


_asks: ContextVar[bool] = ContextVar("_asks", default=False)
logging.getLogger("psycopg").addFilter(_is_not_ours)

Strategy = PostgresStrategy
