"""The SQL files: every statement is described, used by its kind, and constant."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import repository
from repository import statements as sql
from repository.connections.connection import name_of
from repository.statements import (
    ALL,
    TYPES,
    WRITE,
    Kind,
    Statements,
    WrongKind,
    require_same_names,
    with_numbers,
)

FOLDER = Path(repository.__file__).parent
CODE = "\n".join(file.read_text() for file in FOLDER.rglob("*.py") if file.name != "statements.py")
FILES = {name: value for name, value in vars(sql).items() if isinstance(value, Statements)}
NAMED = [(file, name) for file, statements in FILES.items() for name in statements]
STATEMENTS = {name: FILES[file][name] for file, name in NAMED}
USES = [
    (use["file"], use["kind"], use["name"])
    for use in re.finditer(
        rf"\b(?P<file>{'|'.join(FILES)})(?:\[|\.(?P<kind>\w+)\()[\"'](?P<name>\w+)[\"']", CODE
    )
]


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_statement_is_used(file: str, name: str) -> None:
    assert (file, name) in {(file, name) for file, _, name in USES}


def test_every_statement_that_is_used_exists() -> None:
    assert {(file, name) for file, _, name in USES} <= set(NAMED)


def test_what_a_pool_may_run_again_is_used_by_the_kind_that_it_has() -> None:
    by_kind = [(file, kind, name) for file, kind, name in USES if kind]
    assert {kind for _, kind, _ in by_kind} == {Kind.QUERY.value, Kind.IDEMPOTENT.value}
    assert [use for use in by_kind if FILES[use[0]].kinds[use[2]].value != use[1]] == []


def test_a_statement_is_not_handed_out_as_one_of_another_kind() -> None:
    with pytest.raises(WrongKind, match="write_batch is once, not query"):
        WRITE.query("write_batch")
    with pytest.raises(WrongKind, match="ensure_rows is idempotent, not query"):
        TYPES.query("ensure_rows")
    with pytest.raises(WrongKind, match="read_type is query, not idempotent"):
        TYPES.idempotent("read_type")


def test_every_file_is_loaded_and_no_name_stands_twice() -> None:
    files = sorted(file.name for file in (FOLDER / "sql").iterdir())
    assert files == [
        "durability.sql",
        "entity_types.sql",
        "history.sql",
        "inspection.sql",
        "read.sql",
        "retention.sql",
        "session.sql",
        "write.sql",
    ]
    for file in files:
        text = (FOLDER / "sql" / file).read_text()
        # Also one whose kind is misspelt.
        assert len(Statements(file)) == len(re.findall(r"^-- \w+: \w+$", text, re.MULTILINE))
    assert len(STATEMENTS) == len(NAMED)
    assert [*FILES.values()] == [*ALL]
    assert len(ALL) == len(files)


@pytest.mark.parametrize(("name", "statement"), STATEMENTS.items(), ids=STATEMENTS)
def test_a_trace_has_the_name_of_a_statement(name: str, statement: str) -> None:
    assert name_of(statement) == name


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_is_one_and_names_its_columns(statement: str) -> None:
    without_comments = re.sub(r"--.*", "", statement)
    assert ";" not in without_comments
    outermost = without_comments.split("unnest")[0]
    assert not re.search(r"\ba\.\*|SELECT \*\s+FROM aggregates", outermost)


def test_names_of_parameters_are_numbered_and_casts_are_left_alone() -> None:
    named = "SELECT :it.name::text, :other, string_to_array(:it.name, ','), now()::timestamptz"
    assert with_numbers(named) == (
        "SELECT $1::text, $2, string_to_array($1, ','), now()::timestamptz"
    )


def test_no_statement_mixes_names_and_numbers() -> None:
    mixed = [
        name
        for file, name in NAMED
        if len(set(re.findall(r"\$\d+", STATEMENTS[name]))) > len(FILES[file].parameters[name]) > 0
    ]
    assert mixed == []


def test_a_parameter_that_is_not_given_and_one_that_is_unknown_are_both_named() -> None:
    with pytest.raises(ValueError, match=r"needs \['updated.ttl'\], and has no \['updated.lost'\]"):
        require_same_names("it", ["batch_id", "updated.ttl"], ["updated.lost", "batch_id"])


def test_a_column_that_stands_in_one_place_only_fails_at_the_start() -> None:
    start = (
        "from repository.statements import WRITE\n"
        "WRITE.parameters['write_batch'] += ('updated.ttl',)\n"
        "import repository.writing.columns\n"
    )
    begun = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True)
    assert "ValueError: write_batch needs ['updated.ttl']" in begun.stderr
