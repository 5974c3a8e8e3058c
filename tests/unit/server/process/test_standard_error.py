"""What C code writes to standard error becomes lines of the log, and the log's own stay."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[4]
CORE: Final = (
    "I1129 12:34:56.789012   30732 ssl_transport_security.cc:2160] Handshake failed: WRONG_VERSION"
)
BEGIN: Final = """
import logging, os
from server.process.logs import log_of_server
def write(data):
    os.write(2, data)  # as C code does
"""


def lines_of(program: str, form: str = "json") -> list[str]:
    """What a program writes to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}with log_of_server('info', {form!r}):\n{program}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stderr.splitlines()


def objects_of(program: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines_of(program)]


def test_lines_of_grpcs_core_have_their_level_and_their_place() -> None:
    (line,) = objects_of(f" write({CORE.encode()!r} + b'\\n')")
    assert line["level"] == "INFO"
    assert line["logger"] == "grpc.core"
    assert line["message"] == "ssl_transport_security.cc:2160: Handshake failed: WRONG_VERSION"


@pytest.mark.parametrize(("letter", "level"), [("W", "WARNING"), ("E", "ERROR"), ("F", "CRITICAL")])
def test_levels_are_those_of_abseil(letter: str, level: str) -> None:
    (line,) = objects_of(f" write(b'{letter}0000 00:00:00.000000  1 a.cc:1] no\\n')")
    assert line["level"] == level


def test_what_has_another_form_is_a_warning() -> None:
    program = " write(b'free(): invalid \\xff\\n\\nand'); write(b' more')"
    lines = objects_of(program)
    assert [line["message"] for line in lines] == ["free(): invalid \\xff", "and more"]
    assert {(line["level"], line["logger"]) for line in lines} == {("WARNING", "stderr")}


def test_the_logs_own_lines_come_once() -> None:
    lines = objects_of(" logging.getLogger('own').info('here'); write(b'there\\n')")
    assert {line["message"] for line in lines} == {"here", "there"}
    assert len(lines) == 2


def test_text_has_one_form_too() -> None:
    (line,) = lines_of(f" write({CORE.encode()!r} + b'\\n')", "text")
    assert " INFO grpc.core: ssl_transport_security.cc:2160: Handshake failed" in line


def test_a_line_without_an_end_is_cut_and_takes_no_more_memory() -> None:
    lines = objects_of(" for _ in range(20): write(b'x' * 1_000)\n write(b'\\nlast\\n')")
    assert all(len(line["message"]) <= 16_384 for line in lines)
    assert lines[-1]["message"] == "last"


def test_afterwards_standard_error_is_what_it_was() -> None:
    assert lines_of(" pass\nwrite(b'plain\\n')") == ["plain"]


def test_who_writes_never_waits_for_the_log() -> None:
    # The reader cannot run while this thread keeps the interpreter: a pipe that blocks would hang.
    program = (
        " import ctypes\n"
        " writes = ctypes.PyDLL(None).write  # keeps the lock of the interpreter\n"
        " for _ in range(200): writes(2, b'x' * 1_023 + b'\\n', 1_024)\n"
        " logging.getLogger('own').info('went on')"
    )
    assert objects_of(program)[-1]["message"] in ("went on", "x" * 1_023)


def test_a_crash_tells_where_python_was() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}with log_of_server('info', 'json'):\n os.abort()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Fatal Python error: Aborted" in done.stderr


def test_a_reader_that_takes_nothing_does_not_keep_the_process_from_ending() -> None:
    many = " for _ in range(2_000): logging.getLogger('own').info('x' * 1_000)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}with log_of_server('info', 'json'):\n{many}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.wait(timeout=120) == 0
        finally:
            process.kill()


def test_a_reader_that_is_slow_gets_every_line() -> None:
    many = " for number in range(500): logging.getLogger('own').info('%d %s', number, 'é' * 4_000)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}with log_of_server('info', 'json'):\n{many}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        time.sleep(0.5)
        lines = process.stderr.read().splitlines()
        assert process.wait(timeout=120) == 0
    assert [json.loads(line)["message"].split()[0] for line in lines] == [
        str(number) for number in range(500)
    ]


def test_a_line_that_nobody_can_take_any_more_is_lost_and_makes_no_others() -> None:
    program = """
 from server.process.logs import LOST_LINES
 import sys, time
 sys.stdin.read()  # until the reader is gone
 logging.getLogger('own').info('lost')
 while not LOST_LINES.ever: time.sleep(0.01)
 time.sleep(0.5)  # for what it would make
 print(LOST_LINES.ever)
"""
    with subprocess.Popen(
        [sys.executable, "-c", f"{BEGIN}with log_of_server('info', 'json'):\n{program}"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert process.stdout is not None
        process.stderr.close()
        process.stdin.close()
        try:
            assert process.stdout.read() == b"1\n"
        finally:
            process.kill()
