"""Runs of the demo of flights: they tell what differs, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.serving import serving

ROOT = Path(__file__).parents[2]
DEMO = (sys.executable, "-m", "examples.flights", "--clients", "2")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one, since the socket of a database stands below it."""
    with tempfile.TemporaryDirectory(prefix="featom-demo-") as folder:
        yield Path(folder)


def test_a_short_run_on_a_server_of_its_own_ends_without_differences(tmp_path: Path) -> None:
    demo = _run((*DEMO, "--flights", "1000"), tmp_path)
    assert "1,000 flights" in demo.stdout
    assert ": 0 differences" in demo.stdout
    assert demo.returncode == 0, demo.stdout
    assert _left_over(tmp_path) == []


@pytest.fixture
def target(database: str) -> Iterator[str]:
    with serving(database) as server:
        yield server.address


def test_a_short_run_on_a_server_that_is_there_ends_without_differences(
    target: str, tmp_path: Path
) -> None:
    demo = _run((*DEMO, "--flights", "1000", "--together", "--target", target), tmp_path)
    assert ": 0 differences" in demo.stdout
    assert demo.returncode == 0, demo.stdout
    again = _run((*DEMO, "--flights", "10", "--target", target), tmp_path)
    assert "run with --delete to delete them first" in again.stdout
    assert again.returncode == 2, again.stdout


TAMPERED = """
import sys
from rich.console import Console
from examples.flights import demo, truth

def tampered(flights):
    vectors = truth.fold(flights)
    del vectors["airport", "EWR"].features["last_destination"]
    vectors["airport", "JFK"].version += 1
    return vectors

demo.fold = tampered
sys.exit(demo.run(demo.Options(flights=50, clients=2, target=sys.argv[1]), Console()))
"""


def test_a_run_that_ends_in_differences_lists_them_and_fails(target: str, tmp_path: Path) -> None:
    demo = _run((sys.executable, "-c", TAMPERED, target), tmp_path)
    assert ": 2 differences" in demo.stdout
    assert "airport/EWR last_destination: expected nothing, found " in demo.stdout
    assert "airport/JFK version: expected " in demo.stdout
    assert demo.returncode == 1, demo.stdout


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    with subprocess.Popen(
        (*DEMO, "--flights", "20000"),
        cwd=ROOT,
        env=_environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        try:
            assert any(line.startswith("replaying") for line in demo.stdout)
            assert _left_over(tmp_path) != []
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
        finally:
            demo.terminate()
    assert demo.returncode == 130
    assert _left_over(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def _run(command: tuple[str, ...], temporary: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(temporary),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )


def _environment(temporary: Path) -> dict[str, str]:
    """What the demo makes goes below `temporary`, by which its processes are known later."""
    return os.environ | {"TMPDIR": str(temporary), "COLUMNS": "100"}


def _left_over(temporary: Path) -> list[str]:
    """The commands of the processes that know `temporary`."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:  # it ended meanwhile, or it is none of ours
            continue
        if str(temporary).encode() in command + environment:
            commands.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return commands
