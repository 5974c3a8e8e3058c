"""The file of the audit log: no line is lost in silence, and none is spoilt by another."""

import errno
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from domain.entity_key import EntityKey
from server.access.audit_log import AuditLog, LineFile
from tests.unit.server.access.audit_lines import lines

__all__ = ["lines"]


def test_lines_are_appended_to_the_file_and_are_all_there_when_it_is_closed(
    tmp_path: Path,
) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_text('{"number":-1}\n')
    audit_log = AuditLog(str(file))
    for number in range(1_000):
        audit_log.write({"number": number, "key": EntityKey("card", "a\nü")})
    audit_log.close()
    read = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["number"] for line in read] == list(range(-1, 1_000))
    assert read[-1]["key"] == ["card", "a\nü"]


def test_a_file_that_is_moved_away_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    audit_log = AuditLog(str(file))
    audit_log.write({"number": 1})
    while "1" not in file.read_text():
        pass
    file.rename(tmp_path / "audit.jsonl.1")
    audit_log.write({"number": 2})
    audit_log.close()
    assert file.read_text() == '{"number":2}\n'


def counted(audit_log: AuditLog) -> object:
    """The lines that the metrics count as lost."""
    metrics = {metric.name: metric for metric in audit_log.metrics()}
    return metrics["featom_audit_lines_lost_total"].samples[0].value


def test_what_is_lost_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "audit.jsonl"
    audit_log = AuditLog(str(file), max_queued=10)
    blocked = threading.Event()
    append = audit_log._file.append
    monkeypatch.setattr(audit_log._file, "append", lambda line: (blocked.wait(10), append(line)))
    for number in range(50):
        audit_log.write({"number": number})
    blocked.set()
    while audit_log._lines.qsize():
        pass
    audit_log.write({"number": 50})
    audit_log.close()
    read = [json.loads(line) for line in file.read_text().splitlines()]
    lost = 51 - sum("number" in line for line in read)
    assert lost >= 39
    assert {"lost": lost} in read
    assert f"{lost} lines of the audit log were lost" in caplog.text
    assert counted(audit_log) == lost


def test_a_disk_that_is_full_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit_log = AuditLog("/dev/full")
    caplog.set_level(logging.ERROR)
    audit_log.write({"number": 1})
    audit_log.close()
    assert "the audit log cannot be written" in caplog.text
    assert '{"number":1}' in caplog.text
    assert counted(audit_log) == 1


def test_a_disk_that_hangs_does_not_hold_up_the_end_of_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.access.audit_log.CLOSING", 0.1)
    audit_log = AuditLog(str(tmp_path / "audit.jsonl"))
    hangs = threading.Event()
    monkeypatch.setattr(audit_log._file, "append", lambda line: hangs.wait(60))
    audit_log.write({"number": 1})
    begun = time.monotonic()
    audit_log.close()
    assert time.monotonic() - begun < 30
    assert "could not be written to its end" in caplog.text
    hangs.set()
    audit_log.close()


def test_lines_wait_while_the_file_cannot_be_made_anew_and_none_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, away = tmp_path / "log", tmp_path / "away"
    folder.mkdir()
    audit_log = AuditLog(str(folder / "audit.jsonl"))
    audit_log.write({"number": 0})
    while "0" not in (folder / "audit.jsonl").read_text():
        pass
    folder.rename(away)
    for number in range(1, 100):
        audit_log.write({"number": number})
    while "the audit log cannot be written" not in caplog.text:
        time.sleep(0.01)
    folder.mkdir()
    caplog.set_level(logging.INFO)
    while "the audit log is written again" not in caplog.text:
        time.sleep(0.01)
    audit_log.close()
    lines = (folder / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(1, 100))
    assert caplog.text.count("cannot be written") == 1
    assert counted(audit_log) == 0


def test_a_line_that_did_not_fit_whole_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, fits = os.write, threading.Event()

    def write_half(file: int, data: bytes) -> int:
        if fits.is_set():
            return write(file, data)
        if len(data) < 10:
            fits.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[: len(data) // 2])

    file = tmp_path / "audit.jsonl"
    audit_log = AuditLog(str(file))
    monkeypatch.setattr("server.access.audit_log.os.write", write_half)
    for number in range(3):
        audit_log.write({"number": number, "what": "x" * 100})
    while file.read_text().count("\n") < 3:
        time.sleep(0.01)
    audit_log.close()
    assert [json.loads(line)["number"] for line in file.read_text().splitlines()] == [0, 1, 2]


class HalfWritten:
    """A file that takes half of a line, and nothing more until it is told to."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = LineFile(str(path))
        self._write, self._room = os.write, 1
        monkeypatch.setattr("server.access.audit_log.os.write", self._write_some)
        with pytest.raises(OSError, match="No space"):
            self.lines.append(b"the first line\n")
        self._room = sys.maxsize

    def _write_some(self, file: int, data: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._room -= 1
        return self._write(file, data[: len(data) // 2] if not self._room else data)


def test_what_there_is_of_a_line_that_is_given_up_does_not_spoil_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "audit.jsonl"
    torn = HalfWritten(file, monkeypatch).lines
    torn.give_up()
    torn.append(b"the second line\n")
    torn.append(b"the third line\n")
    assert file.read_text() == "the fir\nthe second line\nthe third line\n"


@pytest.mark.parametrize("given_up", [False, True])
def test_half_of_a_line_stays_in_the_file_that_was_moved_away(
    given_up: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "audit.jsonl"
    torn = HalfWritten(file, monkeypatch).lines
    if given_up:
        torn.give_up()
    file.rename(tmp_path / "audit.jsonl.1")
    torn.append(b"the first line\n")
    assert file.read_text() == "the first line\n"


def test_a_line_that_fails_in_a_way_nobody_thought_of_is_counted_and_the_next_is_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "audit.jsonl"
    audit_log = AuditLog(str(file))
    append = audit_log._file.append

    def append_or_fail(line: bytes) -> None:
        if b"bad" in line:
            raise ValueError("a bug")
        append(line)

    monkeypatch.setattr(audit_log._file, "append", append_or_fail)
    audit_log.write({"line": "bad"})
    audit_log.write({"line": "good"})
    audit_log.close()
    assert file.read_text() == '{"line":"good"}\n'
    assert counted(audit_log) == 1
    assert "a bug" in caplog.text
