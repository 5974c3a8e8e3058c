"""What a failure of the database means: every code has one meaning, and text has none."""

import re
from pathlib import Path

import asyncpg
import pytest

from repository.connections.sqlstates import AGAIN, AWAY, AWAY_CLASSES, TOO_LARGE, Verdict, verdict

RUNBOOKS = Path(__file__).parents[3] / "docs/runbooks"

BY_CODE = {
    "40001": Verdict.AGAIN,
    "40P01": Verdict.AGAIN,
    "55P03": Verdict.AGAIN,
    "23505": Verdict.AGAIN,
    "08000": Verdict.AWAY,
    "08003": Verdict.AWAY,
    "08006": Verdict.AWAY,
    "08P01": Verdict.AWAY,
    "25006": Verdict.AWAY,
    "26000": Verdict.AWAY,
    "42P05": Verdict.AWAY,
    "25P03": Verdict.AWAY,
    "25P04": Verdict.AWAY,
    "28000": Verdict.AWAY,
    "28P01": Verdict.AWAY,
    "3D000": Verdict.AWAY,
    "42883": Verdict.AWAY,
    "53000": Verdict.AWAY,
    "53100": Verdict.AWAY,
    "53200": Verdict.AWAY,
    "53300": Verdict.AWAY,
    "57014": Verdict.AWAY,
    "57P01": Verdict.AWAY,
    "57P02": Verdict.AWAY,
    "57P03": Verdict.AWAY,
    "57P05": Verdict.AWAY,
    "58000": Verdict.AWAY,
    "58030": Verdict.AWAY,
    "22003": Verdict.FAULT,
    "22021": Verdict.FAULT,
    "23502": Verdict.FAULT,
    "23514": Verdict.FAULT,
    "25P02": Verdict.FAULT,
    "40002": Verdict.FAULT,
    "42501": Verdict.AWAY,
    "42703": Verdict.AWAY,
    "42P01": Verdict.AWAY,
    "54000": Verdict.TOO_LARGE,
    "57P04": Verdict.FAULT,
    "P0001": Verdict.FAULT,
    "XX000": Verdict.FAULT,
}


def failure(sqlstate: str) -> asyncpg.PostgresError:
    """An error as the driver makes it from what PostgreSQL sends."""
    return asyncpg.PostgresError.new({"C": sqlstate, "M": "could not serialize, connection lost"})


@pytest.mark.parametrize(("sqlstate", "meaning"), BY_CODE.items())
def test_a_code_means_what_it_means_whatever_the_text_says(sqlstate: str, meaning: Verdict) -> None:
    error = failure(sqlstate)
    assert error.sqlstate == sqlstate
    assert verdict(error) is meaning


def test_every_code_and_class_of_the_table_is_known_here() -> None:
    told = {code for code, meaning in BY_CODE.items() if meaning is not Verdict.FAULT}
    assert told >= AGAIN | AWAY | TOO_LARGE
    assert {code[:2] for code in told} >= AWAY_CLASSES
    assert all(code in AGAIN | AWAY | TOO_LARGE or code[:2] in AWAY_CLASSES for code in told)


def test_no_code_has_two_meanings() -> None:
    assert not AGAIN & AWAY
    assert not {code for code in AGAIN | AWAY if code[:2] in AWAY_CLASSES}


def test_the_driver_knows_every_code_of_the_table() -> None:
    """Or a mistyped one would never be met."""
    known = {
        error.sqlstate
        for error in vars(asyncpg.exceptions).values()
        if isinstance(error, type) and issubclass(error, asyncpg.PostgresError)
    }
    # PostgreSQL 17 brought transaction_timeout.
    assert known | {"25P04", "57P05"} >= AGAIN | AWAY


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
def test_a_connection_that_breaks_is_away(error: Exception) -> None:
    assert verdict(error) is Verdict.AWAY


def test_a_statement_that_was_prepared_for_another_schema_is_run_again() -> None:
    assert verdict(asyncpg.InvalidCachedStatementError("stale")) is Verdict.AGAIN


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), asyncpg.PostgresError("x")])
def test_whatever_else_goes_wrong_is_a_fault(error: Exception) -> None:
    assert verdict(error) is Verdict.FAULT


@pytest.mark.parametrize(
    ("page", "expected"),
    [("FeatomDatabaseAway", Verdict.AWAY), ("FeatomDatabaseFaults", Verdict.FAULT)],
)
def test_a_runbook_explains_sqlstates_that_lead_to_it(page: str, expected: Verdict) -> None:
    text = (RUNBOOKS / f"{page}.md").read_text()
    rows = re.findall(r"^ *\| (`[0-9A-Z]{2}.*?) \|", text, re.MULTILINE)
    codes = [code for row in rows for code in re.findall(r"`([0-9A-Z]+)", row)]
    assert len(codes) > 5
    # A class stands for its codes.
    assert {code: verdict(failure(code.ljust(5, "9"))) for code in codes} == dict.fromkeys(
        codes, expected
    )
