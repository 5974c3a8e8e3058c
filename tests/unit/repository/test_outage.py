"""An outage is one line when it begins and one when it is over, whatever it cost in between."""

import logging

import pytest

from repository.connections.outage import Outage
from repository.connections.sqlstates import Failure, Verdict

FULL = Failure(Verdict.AWAY, "53100", "its disk is full")
LOST = Failure(Verdict.LOST, "", "there is no connection")


class Watched:
    """An outage at a time that is moved, and what it logs."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self.now = 0.0
        self.outage = Outage("writing", lambda: self.now)
        self._caplog = caplog

    def fails(self, failure: Failure, times: int = 1) -> None:
        for _ in range(times):
            self.outage.failed(failure, "db:5432", OSError("says the driver"))
            self.now += 0.1

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records]


def test_it_is_logged_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    watched.fails(FULL, 30)
    (begun,) = watched.lines
    for words in ("writing", "its disk is full", "53100", "db:5432", "says the driver"):
        assert words in begun
    watched.now += 2
    assert watched.outage.goes_on
    watched.outage.worked()
    assert not watched.outage.goes_on
    assert watched.lines[1:] == [
        "the database works again for the writing pool: after 5.0 s, with failures:"
        " 30 of SQLSTATE 53100"
    ]


def test_another_cause_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    for _ in range(10):
        watched.fails(FULL)
        watched.fails(LOST)
    assert len(watched.lines) == 2
    assert "SQLSTATE none" in watched.lines[1]


def test_what_works_in_between_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    for _ in range(10):
        watched.fails(FULL)
        watched.outage.worked()
    assert len(watched.lines) == 1


@pytest.mark.parametrize("verdict", [Verdict.AGAIN, Verdict.FAULT, Verdict.TOO_LARGE])
def test_what_the_database_is_not_to_blame_for_is_none(
    caplog: pytest.LogCaptureFixture, verdict: Verdict
) -> None:
    watched = Watched(caplog)
    watched.fails(Failure(verdict, "40001", ""))
    assert not watched.outage.goes_on
    assert watched.lines == []
