"""Which databases a build serves, and what they lack: the window has two sides."""

import pytest

from repository.migrations.backfill import Backfill
from repository.migrations.revisions import Revision, Revisions, revisions
from repository.migrations.window import BUILD, build_of, session_name

KNOWN = Revisions(
    expand=(
        Revision("0001", "a"),
        Revision("0002", "b"),
        Revision("0003", "an index", optional=True),
    ),
    contract=(Revision("c1", "c", oldest_build=2), Revision("c2", "d", oldest_build=3)),
)


@pytest.mark.parametrize(
    ("found", "expand", "contract"),
    [
        ((), ["0001", "0002", "0003"], ["c1", "c2"]),
        (("0001",), ["0002", "0003"], ["c1", "c2"]),
        (("0002", "c1"), ["0003"], ["c2"]),
        (("0003", "c2"), [], []),
        # Of builds to come.
        (("0009",), [], ["c1", "c2"]),
        (("0009", "c1"), [], ["c2"]),
        (("0003", "c9"), [], []),
        (("0009", "c9"), [], []),
    ],
)
def test_what_is_pending_is_what_comes_after_the_place_in_each_branch(
    found: tuple[str, ...], expand: list[str], contract: list[str]
) -> None:
    assert [each.id for each in KNOWN.pending_expand(found)] == expand
    assert [each.id for each in KNOWN.pending_contract(found)] == contract


@pytest.mark.parametrize(
    ("found", "oldest_build", "misfit"),
    [
        ((), 0, "the database has no schema, `featom migrate` makes it 0002"),
        (("0001",), 1, "the database has 0001, `featom migrate` makes it 0002"),
        (("0002",), 1, None),
        (("0003",), 2, None),
        (("0009",), 2, None),
        (("0009", "c9"), 2, None),
        (("0009", "c9"), 3, "the database needs build 3 or later, and this is build 2"),
    ],
)
def test_a_build_serves_neither_an_older_schema_nor_one_that_needs_a_newer_build(
    found: tuple[str, ...], oldest_build: int, misfit: str | None
) -> None:
    assert KNOWN.misfit(found, oldest_build, build=2) == misfit


def test_a_build_serves_what_its_own_migrations_make() -> None:
    known = revisions()
    newest = {branch[-1].id for branch in (known.expand, known.contract) if branch}
    oldest = max((each.oldest_build for each in (*known.expand, *known.contract)), default=0)
    assert known.misfit(newest, oldest, BUILD) is None


def test_servers_know_each_others_builds_by_the_names_of_their_sessions() -> None:
    assert build_of(session_name(12)) == 12
    for other in ("featom", "featom health", "featom health, build x", "psql"):
        assert build_of(other) is None


def test_a_page_of_a_backfill_begins_after_the_last_row_of_the_one_before() -> None:
    backfill = Backfill(
        name="n",
        table="things",
        key={"kind": "text", "number": "bigint"},
        set="b = t.a",
        where="t.b IS NULL",
        oldest_build=2,
    )
    assert "WHERE true" in backfill.first_page
    assert "(t.kind, t.number) > ($1::text::text, $2::text::bigint)" in backfill.next_page
    assert "LIMIT $3" in backfill.next_page
