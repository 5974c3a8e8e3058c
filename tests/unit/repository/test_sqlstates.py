"""What a failure of the database means: every code has one meaning in each phase, text has none."""

import re
from pathlib import Path

import asyncpg
import pytest

from repository.connections.sqlstates import (
    MEANINGS,
    NOT_COMMITTED,
    Phase,
    Verdict,
    judge,
    verdict,
)
from repository.dsn.connector import CannotConnect
from repository.dsn.target import Host

RUNBOOKS = Path(__file__).parents[3] / "docs/runbooks"

# What it means as PostgreSQL's answer to a statement.
REFUSED = {
    "08000": Verdict.LOST,
    "08003": Verdict.LOST,
    "08006": Verdict.LOST,
    "08007": Verdict.LOST,
    "08P01": Verdict.LOST,
    "0A000": Verdict.UNAVAILABLE,
    "22003": Verdict.FAULT,
    "22021": Verdict.FAULT,
    "23502": Verdict.FAULT,
    "23505": Verdict.RETRY,
    "23514": Verdict.FAULT,
    "25006": Verdict.UNAVAILABLE,
    "25P02": Verdict.FAULT,
    "26000": Verdict.UNAVAILABLE,
    "42P05": Verdict.UNAVAILABLE,
    "25P03": Verdict.UNAVAILABLE,
    "25P04": Verdict.UNAVAILABLE,
    "28000": Verdict.UNAVAILABLE,
    "28P01": Verdict.UNAVAILABLE,
    "3D000": Verdict.UNAVAILABLE,
    "3F000": Verdict.UNAVAILABLE,
    "40001": Verdict.RETRY,
    "40002": Verdict.FAULT,
    "40003": Verdict.LOST,
    "40P01": Verdict.RETRY,
    "42501": Verdict.UNAVAILABLE,
    "42703": Verdict.UNAVAILABLE,
    "42883": Verdict.UNAVAILABLE,
    "42P01": Verdict.UNAVAILABLE,
    "53000": Verdict.UNAVAILABLE,
    "53100": Verdict.UNAVAILABLE,
    "53200": Verdict.HEAVY,
    "53300": Verdict.UNAVAILABLE,
    "53400": Verdict.HEAVY,
    "54000": Verdict.TOO_LARGE,
    "54001": Verdict.FAULT,
    "55P03": Verdict.RETRY,
    "57014": Verdict.HEAVY,
    "57P01": Verdict.LOST,
    "57P02": Verdict.LOST,
    "57P03": Verdict.LOST,
    "57P04": Verdict.FAULT,
    "57P05": Verdict.LOST,
    "58000": Verdict.UNAVAILABLE,
    "58030": Verdict.UNAVAILABLE,
    "P0001": Verdict.FAULT,
    "XX000": Verdict.FAULT,
    "XX001": Verdict.FAULT,
}


def failure(sqlstate: str) -> asyncpg.PostgresError:
    """An error as the driver makes it from what PostgreSQL sends."""
    return asyncpg.PostgresError.new({"C": sqlstate, "M": "could not serialize, connection lost"})


def closed(last_word: str | None) -> asyncpg.ConnectionDoesNotExistError:
    """An error as the driver raises it when a connection ends, perhaps after an ErrorResponse."""
    error = asyncpg.ConnectionDoesNotExistError("connection was closed")
    error.__cause__ = failure(last_word) if last_word else None
    return error


@pytest.mark.parametrize(("sqlstate", "meaning"), REFUSED.items())
def test_a_code_means_what_it_means_whatever_the_text_says(sqlstate: str, meaning: Verdict) -> None:
    error = failure(sqlstate)
    assert error.sqlstate == sqlstate
    assert judge(error).verdict is meaning


def test_every_code_and_class_of_the_table_is_known_here() -> None:
    told = {code for code, meaning in REFUSED.items() if meaning is not Verdict.FAULT}
    assert {code for code in MEANINGS if len(code) == 5} <= told
    assert {code for code in MEANINGS if len(code) == 2} <= {code[:2] for code in told}


def test_what_callers_are_told_of_has_words_for_people() -> None:
    told = (Verdict.UNAVAILABLE, Verdict.HEAVY, Verdict.LOST)
    assert all(meaning.words for meaning in MEANINGS.values() if meaning.verdict in told)


def test_the_driver_knows_every_code_of_the_table() -> None:
    """Or a mistyped one would never be met."""
    known = {
        error.sqlstate
        for error in vars(asyncpg.exceptions).values()
        if isinstance(error, type) and issubclass(error, asyncpg.PostgresError)
    }
    # PostgreSQL 17 brought transaction_timeout.
    assert known | {"25P04", "57P05"} >= {code for code in MEANINGS if len(code) == 5}


@pytest.mark.parametrize("sqlstate", ["", *REFUSED])
def test_while_connecting_nothing_can_have_been_committed(sqlstate: str) -> None:
    assert verdict(sqlstate, Phase.CONNECTING) is Verdict.UNAVAILABLE


@pytest.mark.parametrize("sqlstate", ["", *REFUSED])
def test_a_connection_that_ends_is_a_doubt_unless_its_last_word_settles_it(sqlstate: str) -> None:
    settled = sqlstate in ("25P03", "25P04")
    assert verdict(sqlstate, Phase.BROKEN) is (Verdict.UNAVAILABLE if settled else Verdict.LOST)
    assert settled == (sqlstate in NOT_COMMITTED)


@pytest.mark.parametrize(("last_word", "sqlstate"), [("57P01", "57P01"), (None, "")])
def test_a_connection_that_was_closed_is_known_by_the_last_word(
    last_word: str | None, sqlstate: str
) -> None:
    assert judge(closed(last_word))[:2] == (Verdict.LOST, sqlstate)


def test_what_a_host_said_that_let_nobody_in_is_known() -> None:
    hosts = [Host("a", 1), Host("b", 2)]
    error = CannotConnect([(hosts[0], TimeoutError()), (hosts[1], failure("53300"))])
    assert judge(error, connecting=True)[:2] == (Verdict.UNAVAILABLE, "53300")


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ConnectionResetError(),
        OSError("no route"),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("unexpected message"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_breaks_is_a_doubt_but_none_before_it_is_used(error: Exception) -> None:
    assert judge(error).verdict is Verdict.LOST
    assert judge(error, connecting=True).verdict is Verdict.UNAVAILABLE


def test_a_statement_that_was_prepared_for_another_schema_is_run_again() -> None:
    assert judge(asyncpg.InvalidCachedStatementError("stale")).verdict is Verdict.RETRY


@pytest.mark.parametrize("connecting", [False, True])
@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x")])
def test_whatever_else_goes_wrong_is_a_fault(error: Exception, connecting: bool) -> None:
    assert judge(error, connecting).verdict is Verdict.FAULT


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("FeatomDatabaseAway", {Verdict.UNAVAILABLE, Verdict.HEAVY, Verdict.LOST}),
        ("FeatomDatabaseFaults", {Verdict.FAULT}),
    ],
)
def test_a_runbook_explains_sqlstates_that_lead_to_it(page: str, expected: set[Verdict]) -> None:
    text = (RUNBOOKS / f"{page}.md").read_text()
    rows = re.findall(r"^ *\| (`[0-9A-Z]{2}.*?) \|", text, re.MULTILINE)
    codes = [code for row in rows for code in re.findall(r"`([0-9A-Z]+)", row)]
    assert len(codes) > 5
    # A class stands for its codes.
    assert {verdict(code.ljust(5, "9"), Phase.REFUSED) for code in codes} <= expected
