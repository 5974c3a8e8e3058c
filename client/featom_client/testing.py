"""A throwaway Featom for tests: the real server, with a PostgreSQL of its own.

It is a plugin of pytest, there as soon as featom-client is installed:

    def test_a_payment_is_counted(featom_client):
        featom_client.update("card", "4711", payments=inc(1))

All tests of a run share one store, so each needs entities of its own. The server itself must be
installed too: the package `featom`, in the same environment, or wherever FEATOM_COMMAND says.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

from featom_client.client import Client
from featom_client.retries import Timeouts

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0
_SERVING_ON: Final = re.compile(r'serving on ([^\s"]+)')
_PAUSE: Final = 0.05


class NoServer(Exception):
    """There is no Featom to run, or it does not start; the message says what is missing."""


@pytest.fixture(scope="session")
def featom_address() -> Iterator[str]:
    """HOST:PORT of a Featom that is there until the run ends."""
    with running_featom() as address:
        yield address


@pytest.fixture
def featom_client(featom_address: str) -> Iterator[Client]:
    """A client of it."""
    with Client(featom_address) as client:
        yield client


@contextmanager
def running_featom(settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """A Featom for as long as the block; gives HOST:PORT. `settings` are FEATOM_… variables.

    Raises NoServer.
    """
    command = server_command()
    inherited = {name: text for name, text in os.environ.items() if "FEATOM_" not in name}
    with tempfile.TemporaryDirectory(prefix="featom-testing-") as folder:
        environment = {
            **inherited,
            "FEATOM_LISTEN": "127.0.0.1:0",
            "FEATOM_DATA_DIR": f"{folder}/data",
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - the command is that of the installation
                [*command, "serve"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for pytest, which stops the server when its tests have ended.
                start_new_session=True,
            )
        try:
            address = _address(process, log)
            _wait_until_ready(address, process, log)
            yield address
        finally:
            _stop(process)


def server_command() -> list[str]:
    """What runs `featom`. Raises NoServer if it is not installed."""
    if named := os.environ.get("FEATOM_COMMAND"):
        return [named]
    if found := shutil.which("featom", path=str(Path(sys.executable).parent)):
        return [found]
    raise NoServer(
        f"there is no `featom` beside {sys.executable}: install the server, the package `featom`,"
        " into this environment, or say in FEATOM_COMMAND where its command is"
    )


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    latest = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < latest:
        if found := _SERVING_ON.search(log.read_text(errors="replace")):
            return found.group(1)
        time.sleep(_PAUSE)
    raise _not_started(log)


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until then it answers that it has no database."""
    latest = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < latest:
        with Client(address, timeouts=Timeouts(call=10)) as client:
            try:
                next(client.list_entity_types(), None)
            except OSError:  # Unavailable and CallTimeout are
                time.sleep(_PAUSE)
            else:
                return
    raise _not_started(log)


def _not_started(log: Path) -> NoServer:
    last_words = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    return NoServer(f"the server does not start; its last words:\n{last_words}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
