"""The commands in a real terminal: tables, colours, progress, Ctrl-C."""

import re
import socket
import time
from collections.abc import Iterator

import pytest

from tests.commands.conftest import Featom
from tests.kit.serving import Server
from tests.kit.terminal import BOUND, CTRL_C, in_terminal

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7][0-9;]*m")


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown).replace("\r\n", "\n")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Where a server listens that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(BOUND)
        yield listening


def test_a_table_fits_into_the_terminal(server: Server, featom: Featom, kind: str) -> None:
    featom("update", kind, "x", f"long={'word ' * 40}", "n=1")
    with in_terminal(["get", kind, "x", "--target", server.address], columns=90) as terminal:
        assert terminal.end() == 0
        lines = plain(terminal.shown).splitlines()
    assert max(map(len, lines)) <= 90
    assert "FEATURE" in "".join(lines)
    assert "".join(lines).count("word") == 40


def test_colours_are_for_terminals_whose_owner_wants_them(
    server: Server, featom: Featom, kind: str
) -> None:
    featom("update", kind, "x", "n=1")
    featom("update", kind, "x", "n=2")
    command = ["diff", kind, "x", "1", "2", "--target", server.address]
    with in_terminal(command) as terminal:
        assert terminal.end() == 1
        assert COLOUR.search(terminal.shown)
    with in_terminal(command, NO_COLOR="1") as terminal:
        assert terminal.end() == 1
        assert not COLOUR.search(terminal.shown)
        assert "changed" in terminal.shown
    assert "\x1b" not in featom(*command).out


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_what_the_doctor_finds_has_colours_too(no_colour: str, server: Server) -> None:
    with in_terminal(["doctor", "--target", server.address], NO_COLOR=no_colour) as terminal:
        assert terminal.end() == 0
        assert bool(COLOUR.search(terminal.shown)) is not bool(no_colour)


def interrupted(silent: socket.socket, *command: str) -> str:
    """What a command shows that waits for an answer when Ctrl-C is pressed."""
    target = f"127.0.0.1:{silent.getsockname()[1]}"
    with in_terminal([*command, "--target", target]) as terminal:
        connection, _ = silent.accept()
        with connection:
            terminal.press(CTRL_C)
            assert terminal.end() == 130
        return plain(terminal.shown)


def test_ctrl_c_ends_a_read(silent: socket.socket) -> None:
    # The terminal itself shows the key.
    assert interrupted(silent, "get", "card", "x").splitlines() == ["^Cfeatom: interrupted"]


def test_ctrl_c_during_a_write_says_how_to_find_out_what_became_of_it(
    silent: socket.socket,
) -> None:
    shown = interrupted(silent, "update", "card", "x", "n=1")
    assert "featom: interrupted" in shown
    assert re.search(r"--request-id [0-9a-f-]{36}: it is applied once", " ".join(shown.split()))
    assert "Traceback" not in shown


def test_ctrl_c_ends_a_load_which_is_told_and_cleaned_up(
    server: Server, featom: Featom, kind: str
) -> None:
    command = ["bench", "--type", kind, "--seconds", "3600", "--callers", "2", "--reads", "0"]
    with in_terminal([*command, "--target", server.address]) as terminal:
        terminal.wait_for(lambda shown: "calling" in shown)
        latest = time.monotonic() + BOUND
        while not featom("list", kind, "--json").out:
            assert time.monotonic() < latest
        terminal.press(CTRL_C)
        assert terminal.end() == 0
        shown = plain(terminal.shown)
    assert re.search(r"update +[1-9]", shown)
    assert featom("list", kind, "--json").out == ""
