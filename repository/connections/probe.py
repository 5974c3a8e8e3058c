"""Whether the database can serve this build: asked on a connection like those that write."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

import asyncpg

from repository.connections.connection import Admission, KnownConnection
from repository.connections.primary import Primary
from repository.credentials import Password
from repository.dsn.connector import CannotConnect, Connector
from repository.migrations import window
from repository.migrations.grants import needed_rights
from repository.migrations.revisions import revisions
from repository.migrations.session import current_revisions, oldest_build
from repository.sessions.facts import Facts, Session
from repository.sessions.refusals import (
    DiskFull,
    HeartbeatHeldUp,
    ReadOnly,
    RightsMissing,
    SessionRefused,
    SharedConnection,
    described,
)
from repository.sessions.setting_up import terminate
from repository.sessions.settings import SERIALIZABLE, server_settings
from repository.statements import SESSION
from telemetry.metrics import Metric, MetricKind, Sample

_TIMEOUT: Final = 2.0
"""Seconds that a check takes at most."""
_AGE: Final = 5.0
"""Seconds after which a new connection shows where the address leads now."""
_RIGHTS: Final = tuple(map(list, zip(*needed_rights(), strict=True)))


class ProbeFailed(Exception):
    """The database cannot serve; the message says where and why."""


class PostgresProbe:
    """Implements DatabaseProbe of server.health, on connections that nothing else uses.

    A check writes. While a commit is not answered, no other one is begun: each would hold a backend
    for as long as a synchronous standby is away.
    """

    def __init__(
        self,
        dsn: str | Connector,
        password: Password | None = None,
        primary: Primary | None = None,
    ) -> None:
        self._connector = dsn if isinstance(dsn, Connector) else Connector(dsn, password)
        self._primary = primary or Primary()
        self._found: frozenset[str] = frozenset()
        self._connection: Any = None
        self._renew_at = 0.0
        self._renewal: asyncio.Task[Any] | None = None
        """A new connection takes the time of each host until one is found, which is more than a
        check may take: it goes on while checks fail."""
        self._heartbeat: asyncio.Task[Any] | None = None
        self._onlooker: Session | None = None

    async def check(self) -> str:
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._check()
                self._primary.outage.committed()
                return self._described()
        except window.SchemaMismatch:
            raise
        except SessionRefused as refusal:
            raise ProbeFailed(described(refusal, self._connector.host)) from refusal
        except TimeoutError as error:
            self._drop_onlooker()
            if self._renewal is not None:
                raise ProbeFailed(f"no host has let us in for {_TIMEOUT:g} s") from error
            if self._heartbeat is None:
                self._drop()
            raise ProbeFailed(f"{self._connector.host}: no answer in {_TIMEOUT:g} s") from error
        except BaseException as error:
            self._drop()
            if isinstance(error, Exception):
                raise ProbeFailed(described(error, self._connector.host)) from error
            raise

    @property
    def database(self) -> str:
        """The database that is asked for, for people: its name and its hosts."""
        return self._connector.database

    async def close(self) -> None:
        renewal = self._renewal
        self._drop()
        if renewal is not None:
            await asyncio.wait([renewal])

    def metrics(self) -> Iterator[Metric]:
        """See telemetry.metrics.MetricSource."""
        yield Metric(
            "featom_schema_info",
            "1 for each revision that the database was last seen at.",
            MetricKind.GAUGE,
            [Sample({"revision": revision}, 1) for revision in sorted(self._found)],
        )

    async def _check(self) -> None:
        if self._heartbeat is not None and not self._heartbeat.done():
            await self._look_at_heartbeat()
        if self._heartbeat is None:
            session = await self._verified()
            await self._require_schema(session)
            if self._primary.disk_is_full:
                await _require_room(session)
                self._primary.disk_is_full = False
            self._heartbeat = asyncio.create_task(session.fetchrow(SESSION["heartbeat"], *_RIGHTS))
        beat = await asyncio.shield(self._heartbeat)
        self._heartbeat = None
        self._judge_schema(frozenset(beat["revisions"]), beat["oldest_build"])
        await self._judge_rights(beat["read_only"], beat["missing"])

    def _described(self) -> str:
        facts: Facts = self._connection.facts
        return f"PostgreSQL {facts.version_text} at {self._connector.host}"

    async def _verified(self) -> Session:
        """The connection, made anew now and then: the address may lead elsewhere since."""
        now = asyncio.get_running_loop().time()
        before = self._connection
        if before is not None and before.is_closed():
            before = None
        renews = self._renewal is not None or self._primary.is_suspected
        if before is None or now >= self._renew_at or renews:
            self._primary.is_suspected = False
            self._renew_at = now + _AGE
            try:
                self._connection = await self._renewed_in_time(before)
            except CannotConnect as error:
                # The server is there, and the connection that we have shows whether it is well.
                if before is None or not error.sqlstate.startswith(_REFUSED_AT_THE_DOOR):
                    self._drop()
                    raise
            except Exception:
                self._drop()
                raise
        session: Session = self._connection
        return session

    async def _renewed_in_time(self, before: Any) -> Any:
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renewed(before), name="connecting to probe")
        try:
            return await asyncio.shield(self._renewal)
        finally:
            if self._renewal is not None and self._renewal.done():
                self._renewal = None

    async def _renewed(self, before: Any) -> Any:
        """A new connection in the place of one; that is let go."""
        # Migrations count the servers by the sessions for health: each has one at a time.
        health = window.health_session_name(window.BUILD)
        name = health if before is None else window.session_name(window.BUILD)

        async def another() -> Session:
            session: Session = before or await self._connect(name)
            return session

        admission = Admission(
            primary=self._primary,
            build=window.BUILD,
            settings=server_settings(SERIALIZABLE, name, _TIMEOUT),
            connector=self._connector,
            another=another,
            joins_timeline=False,
        )
        connection = await self._connect(name, admission)
        if before is not None:
            terminate(before)
            # Also of a pooler that hands PostgreSQL's numbers through.
            if before.backend == connection.backend:
                terminate(connection)
                refusal = SharedConnection()
                await self._primary.refuse(refusal, self._connector.host)
                raise refusal
            await connection.execute(f"SET application_name TO '{health}'")
        return connection

    async def _connect(self, name: str, admission: Admission | None = None) -> Any:
        return await self._connector.connect({"application_name": name}, admission, KnownConnection)

    async def _require_schema(self, session: Session) -> None:
        """A heartbeat can be asked for only where its tables are."""
        if revisions().misfit(self._found, window.BUILD, window.BUILD):
            self._judge_schema(await current_revisions(session), await oldest_build(session))

    def _judge_schema(self, found: frozenset[str], oldest: int) -> None:
        self._found = found
        if misfit := revisions().misfit(found, oldest, window.BUILD):
            raise window.SchemaMismatch(misfit)

    async def _judge_rights(self, read_only: bool, missing: list[str]) -> None:
        if read_only:
            refusal = ReadOnly()
            await self._primary.refuse(refusal, self._connector.host)
            raise refusal
        if missing:
            raise RightsMissing(f"The role of the server lacks: {', '.join(sorted(missing))}")

    async def _look_at_heartbeat(self) -> None:
        """Raises HeartbeatHeldUp while its backend is at it; lets go of it if nothing comes."""
        if self._onlooker is None or self._onlooker.is_closed():
            self._onlooker = await self._connect(window.session_name(window.BUILD))
        ask = SESSION["what_it_waits_for"]
        waits_for = await self._onlooker.fetchval(ask, *self._connection.backend)
        if self._heartbeat is None or self._heartbeat.done():
            return
        if waits_for is None:
            self._drop()
        else:
            raise HeartbeatHeldUp(f"The database does not commit: it waits for {waits_for}")

    def _drop(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal.add_done_callback(_see_failure)
            self._renewal = None
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat.add_done_callback(_see_failure)
        self._drop_onlooker()
        if self._connection is not None:
            terminate(self._connection)
        self._connection = self._heartbeat = None

    def _drop_onlooker(self) -> None:
        if self._onlooker is not None:
            terminate(self._onlooker)
        self._onlooker = None


async def _require_room(session: Session) -> None:
    """See whether the disk takes something again, since PostgreSQL has said that it is full."""
    try:
        async with session.transaction():
            await session.execute("SET LOCAL work_mem TO '64kB'")
            await session.fetchrow(SESSION["spill"])
    except asyncpg.DiskFullError as error:
        raise DiskFull(sqlstate=error.sqlstate) from error


_REFUSED_AT_THE_DOOR: Final = ("53300", "28")
"""SQLSTATEs, or their class: too many connections; credentials that are not accepted."""


def _see_failure(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()
