"""The files of a PostgreSQL cluster."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from server.embedded_postgres.owner import Owner
from server.embedded_postgres.postmaster import PID_FILE, kill_processes
from server.embedded_postgres.programs import EmbeddedPostgresFailed, Programs
from server.embedded_postgres.settings import render

NAME: Final = "featom"  # of the database and of its superuser
HALF_MADE: Final = "cluster.new-"
REMOVAL_SECONDS: Final = 10
SETTINGS_FILE: Final = "featom.conf"
# Text is ordered by code point, everywhere and always: no library of the system has a say.
LOCALE: Final = ("--encoding=UTF8", "--locale=C")
BUILTIN_LOCALE: Final = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
BUILTIN_LOCALE_SINCE: Final = 17


def refuse_another_version(cluster: Path, version: int) -> None:
    """Raises EmbeddedPostgresFailed for a cluster that PostgreSQL `version` cannot run."""
    if not cluster.exists() or not any(cluster.iterdir()):
        return
    version_file = cluster / "PG_VERSION"
    if not version_file.exists():
        raise EmbeddedPostgresFailed(f"{cluster} holds files, but not those of a cluster")
    made_by = version_file.read_text().strip()
    if made_by != str(version):
        raise EmbeddedPostgresFailed(
            f"{cluster} was made by PostgreSQL {made_by}, and this is PostgreSQL {version}. "
            "Nothing was changed. Move the data with pg_dump and pg_restore, or name another folder"
        )


class Cluster:
    """A cluster in `folder`; it is there whole or not at all."""

    def __init__(self, folder: Path, programs: Programs, owner: Owner, version: int) -> None:
        self.folder = folder
        self._programs = programs
        self._owner = owner
        self._version = version

    @property
    def exists(self) -> bool:
        return (self.folder / "PG_VERSION").exists()

    @property
    def was_stopped_cleanly(self) -> bool:
        said = self._programs.must_run("pg_controldata", "-D", self.folder)
        state = re.search(r"^Database cluster state: +(.+)$", said, re.MULTILINE)
        return state is not None and state[1] == "shut down"

    def make(self) -> None:
        """Make the cluster beside its place, and move it there when it is whole and on disk."""
        new = Path(tempfile.mkdtemp(prefix=HALF_MADE, dir=self.folder.parent))
        self._owner.take(new)
        locale = LOCALE + (BUILTIN_LOCALE if self._version >= BUILTIN_LOCALE_SINCE else ())
        access = (f"--username={NAME}", "--auth-local=trust", "--auth-host=reject")
        run = self._programs.must_run
        run("initdb", "-D", new, *access, *locale, "--data-checksums", "--no-sync")
        with (new / "postgresql.conf").open("a") as file:
            file.write(f"include_if_exists '{SETTINGS_FILE}'\n")
        database = f"CREATE DATABASE {NAME};\n"
        run("postgres", "--single", "-D", new, "-cexit_on_error=1", "template1", text=database)
        run("initdb", "-D", new, "--sync-only")
        new.rename(self.folder)
        _sync(self.folder.parent)

    def remove_half_made(self) -> None:
        """Remove what a server that was killed while it made the cluster has left."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        for folder in self.folder.parent.glob(f"{HALF_MADE}*"):
            # Its initdb may still be writing; it ends when its backend or its files are gone.
            while folder.exists() and time.monotonic() < deadline:
                kill_processes(folder)
                shutil.rmtree(folder, ignore_errors=True)
                time.sleep(0.01)

    def clear_after_crash(self) -> None:
        """End backends that outlived their postmaster, and drop its lock file.

        PostgreSQL refuses to start while they hold its shared memory, or while the number in that
        file is a stranger's.
        """
        kill_processes(self.folder)
        (self.folder / PID_FILE).unlink(missing_ok=True)

    def configure(self, settings: Mapping[str, str]) -> None:
        """The cluster runs with `settings` when it is next started; ALTER SYSTEM overrides them."""
        file = self.folder / SETTINGS_FILE
        file.write_text(f"# Written anew at each start.\n{render(settings)}")
        self._owner.take(file)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
