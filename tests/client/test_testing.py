"""The plugin of pytest gives the real Featom, and says what is missing where it cannot."""

import subprocess
import sys
from pathlib import Path

import pytest
from featom_client import testing

PROGRAM = """
from featom_client import inc

def test_one(featom_client):
    assert featom_client.update("card", "1", n=inc(1)).version == 1

def test_the_next_has_the_same_store(featom_client):
    assert featom_client.get("card", "1")["n"] == 1
"""


def test_tests_get_a_throwaway_featom(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_where_the_server_is_not_installed_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEATOM_COMMAND", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(testing.NoServer, match="install the server"), testing.running_featom():
        pass


def test_a_server_that_does_not_start_has_its_last_words_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = tmp_path / "featom"
    failing.write_text("#!/bin/sh\necho the disk is on fire\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setenv("FEATOM_COMMAND", str(failing))
    with pytest.raises(testing.NoServer, match="on fire"), testing.running_featom():
        pass
