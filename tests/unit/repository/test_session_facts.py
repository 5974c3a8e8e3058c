"""Which servers and databases are refused, and what is set on the others."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from repository.connections.primary import Primary
from repository.sessions.facts import Backend, Facts, Server
from repository.sessions.refusals import (
    FormerPrimary,
    OnStandby,
    ReadOnly,
    SessionRefused,
    TablesScattered,
    VersionTooOld,
    WrongEncoding,
    described,
)
from repository.sessions.setting_up import check
from repository.sessions.settings import shown, to_be_set

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIT = Facts(
    backend=Backend(1, NOW),
    server=Server(7, 1, NOW),
    address="10.0.0.1:5432",
    version=150_000,
    encoding="UTF8",
    in_recovery=False,
    read_only=False,
    synchronous_commit="on",
    crash_unsafe=[],
    schemas=["public"],
)


@pytest.mark.parametrize(
    ("facts", "refusal", "says"),
    [
        ({"version": 140_009}, VersionTooOld, "PostgreSQL 14 is too old: it must be 15 or later"),
        ({"encoding": "SQL_ASCII"}, WrongEncoding, "The encoding of the database is SQL_ASCII"),
        # A standby is read-only too, and that is not what is wrong with it.
        ({"in_recovery": True, "read_only": True}, OnStandby, "The database is a standby"),
        ({"read_only": True}, ReadOnly, "The database is read-only"),
        ({"schemas": ["b", "a"]}, TablesScattered, "tables of several schemas: a, b"),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    facts: dict[str, Any], refusal: type[SessionRefused], says: str
) -> None:
    check(FIT)
    with pytest.raises(refusal, match=says):
        check(replace(FIT, **facts))


def test_our_schema_alone_is_searched() -> None:
    assert to_be_set({}, FIT)["search_path"] == "public, pg_temp"
    assert "search_path" not in to_be_set({}, replace(FIT, schemas=[])), "nothing is there yet"


@pytest.mark.parametrize("chosen", ["on", "local", "remote_write", "remote_apply"])
def test_synchronous_commit_is_the_operators_unless_it_loses_commits(chosen: str) -> None:
    assert "synchronous_commit" not in to_be_set({}, replace(FIT, synchronous_commit=chosen))
    assert to_be_set({}, replace(FIT, synchronous_commit="off"))["synchronous_commit"] == "on"


def test_a_setting_that_only_newer_versions_have_is_set_there() -> None:
    assert "transaction_timeout" not in to_be_set({}, FIT)
    assert to_be_set({}, replace(FIT, version=170_000))["transaction_timeout"] == "0"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(1, "1ms"), (1_500, "1500ms"), (10_000, "10s"), (60_000, "1min"), (7_200_000, "2h")],
)
def test_times_are_written_as_postgresql_shows_them(milliseconds: int, text: str) -> None:
    assert shown(milliseconds) == text


def test_a_refusal_is_told_with_its_sqlstate() -> None:
    assert described(OnStandby(sqlstate="0A000"), "db:5432") == (
        "db:5432: The database is a standby (SQLSTATE 0A000)"
    )


def on(timeline: int, system_identifier: int = 7, minute: int = 0) -> Facts:
    started = NOW.replace(minute=minute)
    return replace(FIT, server=Server(system_identifier, timeline, started))


@pytest.mark.parametrize(
    ("first", "second", "given_up"),
    [
        (on(1), on(1), 0),
        (on(1), on(2), 1),
        (on(1), on(1, minute=1), 1),
        (on(2), on(1, system_identifier=8), 1),
    ],
    ids=["the same", "a promoted standby", "started again", "another cluster"],
)
async def test_connections_are_given_up_when_the_server_is_another_one(
    first: Facts, second: Facts, given_up: int
) -> None:
    primary, calls = Primary(), []

    async def expire() -> None:
        calls.append(primary.generation)

    primary.on_change(expire)
    assert not await primary.admit(first)
    assert await primary.admit(second) is bool(given_up)
    assert len(calls) == primary.generation == given_up


async def test_a_database_that_is_not_safe_from_crashes_is_told_of_once_and_when_it_is_safe_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    primary = Primary()
    assert primary.crash_unsafe is None
    for unsafe in (["fsync"], ["fsync"], ["fsync", "full_page_writes"], [], []):
        await primary.admit(replace(FIT, crash_unsafe=unsafe))
        assert primary.crash_unsafe == set(unsafe)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "fsync off at 10.0.0.1",
        "fsync and full_page_writes off at 10.0.0.1",
        "the database is safe from crashes again",
    ]


async def test_a_server_on_a_timeline_that_was_left_is_refused() -> None:
    primary = Primary()
    await primary.admit(on(2))
    with pytest.raises(FormerPrimary, match="on timeline 1, and another server was promoted to 2"):
        await primary.admit(on(1))
    assert primary.generation == 0
