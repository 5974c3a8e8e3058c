"""Which databases a build serves, and what they lack: the window has two sides."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from repository.migrations.backfill import Backfill
from repository.migrations.revisions import CONTRACT, Revision, Revisions, revisions, revisions_in
from repository.migrations.running import config
from repository.migrations.window import BUILD, health_session_name, servers_of, session_name
from tests.e2e.rolling.knowing import knowing
from tests.e2e.rolling.product import FIRST, FOURTH

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


@pytest.mark.parametrize("build", [FIRST, FOURTH])
def test_the_migrations_are_those_that_alembic_would_run(build: int) -> None:
    """The files are read without it, for servers; and by it, to be run."""
    with knowing(build):
        known = revisions()
        scripts = list(ScriptDirectory.from_config(config()).walk_revisions())[::-1]
    for line, contract in ((known.expand, False), (known.contract, True)):
        expected = [each for each in scripts if (CONTRACT in each.branch_labels) == contract]
        assert [each.id for each in line] == [each.revision for each in expected]
        assert [each.title for each in line] == [each.doc.splitlines()[0] for each in expected]


def test_a_server_knows_the_migrations_without_importing_what_runs_them() -> None:
    """That would take longer than the rest of its start."""
    program = (
        "import sys; import cli.main; from repository.migrations.revisions import revisions;"
        "assert revisions().expand;"
        "print({'alembic', 'sqlalchemy', 'mako'} & {*sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(
    "files",
    [
        {"a": "revision, down_revision = '1', None", "b": "revision, down_revision = '2', None"},
        {"a": "revision, down_revision = '1', None", "b": "revision, down_revision = '3', '2'"},
        {"a": "revision, down_revision, branch_labels = 'c1', None, ('contract',)"},
    ],
    ids=["two beginnings", "a gap", "no oldest build"],
)
def test_migrations_that_are_not_two_lines_are_refused(
    files: dict[str, str], tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(ValueError, match=r"not two lines|does not say its OLDEST_BUILD"):
        revisions_in([tmp_path])


def test_servers_know_each_others_builds_by_the_names_of_their_sessions() -> None:
    ours = [health_session_name(12), health_session_name(7), health_session_name(7)]
    others = ["featom", "featom migrate", "featom health", "featom health, build x", "psql"]
    assert servers_of([*ours, *others]) == [7, 7, 12]


def test_a_server_without_a_session_for_its_health_is_still_one() -> None:
    working = [session_name(3)] * 5
    assert servers_of([health_session_name(4), *working]) == [3, 4]
    assert servers_of([health_session_name(3), *working]) == [3]


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
