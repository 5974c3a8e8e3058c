"""An outage is one line when it begins and one when it is over, whatever it cost in between."""

import json
import logging
from typing import Any

import pytest

from formats.json_lines import JsonLines
from repository.connections.outage import Outage
from repository.connections.sqlstates import Failure, Verdict

FULL = Failure(Verdict.UNAVAILABLE, "53100", "its disk is full")
LOST = Failure(Verdict.LOST, "", "")


class Watched:
    """An outage at a time that is moved, and what it logs."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self.now = 0.0
        self.outage = Outage(lambda: self.now)
        self._caplog = caplog

    def fails(self, failure: Failure, times: int = 1, pool: str = "writing") -> None:
        for _ in range(times):
            self.outage.failed(failure, pool, "db:5432", OSError("says the driver"))
            self.now += 0.1

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records]

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(JsonLines().format(record)) for record in self._caplog.records]


def test_it_is_logged_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    watched.fails(FULL, 30)
    (begun,) = watched.lines
    for words in ("writing", "its disk is full", "53100", "db:5432", "says the driver"):
        assert words in begun
    watched.now += 2
    assert watched.outage.goes_on
    watched.outage.worked("writing")
    assert not watched.outage.goes_on
    assert watched.lines[1:] == [
        "the database works again: host db:5432, after 5.0 s; failures by SQLSTATE: 53100 30;"
        " by pool: writing 30"
    ]


def test_collectors_get_its_facts_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    watched.fails(FULL, 2)
    watched.fails(LOST, 3, "reading")
    watched.now += 11
    watched.outage.committed()
    begun, over = watched.objects
    assert (begun["host"], begun["sqlstate"]) == ("db:5432", "53100")
    assert over["host"] == "db:5432"
    assert over["seconds"] == 11.5
    assert over["failures_by_sqlstate"] == {"53100": 2, "none": 3}
    assert over["failures_by_pool"] == {"writing": 2, "reading": 3}


def test_other_causes_and_other_pools_are_the_same_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched(caplog)
    for _ in range(10):
        watched.fails(FULL)
        watched.fails(LOST, pool="reading")
    assert len(watched.lines) == 1
    watched.now += 2
    watched.outage.worked("reading")
    assert len(watched.lines) == 1, "writing has not been seen to work"
    watched.outage.worked("writing")
    assert "53100 10, none 10" in watched.lines[1]


def test_where_nobody_comes_any_more_a_write_of_the_servers_own_ends_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched(caplog)
    watched.fails(FULL)
    watched.fails(LOST, pool="reading")
    watched.now += 2
    watched.outage.committed()
    assert watched.outage.goes_on, "writes that nobody else makes say little of theirs"
    watched.now += 9
    watched.outage.committed()
    assert not watched.outage.goes_on
    assert len(watched.lines) == 2


def test_the_next_one_counts_anew(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    for _ in range(2):
        watched.fails(FULL, 3)
        watched.now += 2
        watched.outage.worked("writing")
    assert len(watched.lines) == 4
    assert watched.lines[1] == watched.lines[3]


def test_what_works_in_between_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    for _ in range(10):
        watched.fails(FULL)
        watched.outage.worked("writing")
    assert len(watched.lines) == 1


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.FAULT, Verdict.TOO_LARGE])
def test_what_the_database_is_not_to_blame_for_is_none(
    caplog: pytest.LogCaptureFixture, verdict: Verdict
) -> None:
    watched = Watched(caplog)
    watched.fails(Failure(verdict, "40001", ""))
    assert not watched.outage.goes_on
    assert watched.lines == []
