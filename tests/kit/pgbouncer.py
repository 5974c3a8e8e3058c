"""A real PgBouncer before a real PostgreSQL; who uses it needs "pgbouncer" (tests/kit/needs.py)."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from server.embedded_postgres.owner import Owner
from server.embedded_postgres.programs import Programs
from tests.kit.cluster import free_port
from tests.kit.postgres import folder_for_postgres
from tests.kit.roles import APP_ROLE
from tests.kit.waiting import PATIENCE

PGBOUNCER: Final = Path("/usr/sbin/pgbouncer")


class PgBouncer:
    """Passes the connections to the database of a DSN on, in one of its modes."""

    def __init__(self, folder: Path, dsn: str, owner: Owner) -> None:
        self._folder = folder
        self._target = urlsplit(dsn)
        self._programs = Programs(PGBOUNCER.parent, owner)
        self._pid_file = folder / "pgbouncer.pid"
        self._port = free_port()

    @property
    def dsn(self) -> str:
        """The same database and role, through PgBouncer."""
        target = self._target
        return f"postgresql://{target.username}@127.0.0.1:{self._port}{target.path}"

    def configure(self, mode: str, *more: str) -> None:
        """Write its settings; one that runs takes them when it is told to reload."""
        query = parse_qs(self._target.query)
        host = query.get("host", [self._target.hostname or ""])[0]
        port = query.get("port", [str(self._target.port or 5432)])[0]
        password = f" password={self._target.password}" if self._target.password else ""
        lines = [
            "[databases]",
            f"* = host={host} port={port}{password}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self._port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {self._folder}/users.txt",
            f"logfile = {self._folder}/pgbouncer.log",
            f"pidfile = {self._pid_file}",
            f"pool_mode = {mode}",
            *more,
        ]
        (self._folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        users = (self._target.username, APP_ROLE)
        (self._folder / "users.txt").write_text("".join(f'"{user}" ""\n' for user in users))

    def start(self) -> None:
        self._programs.must_run(PGBOUNCER.name, "-d", self._folder / "pgbouncer.ini")
        latest = time.monotonic() + PATIENCE
        while not (self._pid_file.exists() and self._pid_file.read_text().strip()):
            assert time.monotonic() < latest, "PgBouncer does not start"
            time.sleep(0.02)

    def reload(self) -> None:
        self._signal(signal.SIGHUP)

    def stop(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        os.kill(int(self._pid_file.read_text()), number)


@contextmanager
def pgbouncer(dsn: str, mode: str, *more: str) -> Iterator[PgBouncer]:
    """A PgBouncer before a database, for as long as the block; `more` are lines of its settings."""
    with folder_for_postgres() as folder:
        owner = Owner.of(folder / "pgbouncer.pid")
        owner.take(folder)
        owner.pass_through(folder)
        made = PgBouncer(folder, dsn, owner)
        made.configure(mode, *more)
        made.start()
        try:
            yield made
        finally:
            made.stop()
