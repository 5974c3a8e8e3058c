"""The SQL files: every statement is described, used, and constant."""

import re
from pathlib import Path

import pytest

import repository
from repository.statements import DURABILITY, READ, SESSION, TYPES, WRITE, load_statements

FOLDER = Path(repository.__file__).parent
CODE = "\n".join(file.read_text() for file in FOLDER.rglob("*.py") if file.name != "statements.py")
FILES = {"DURABILITY": DURABILITY, "READ": READ, "SESSION": SESSION, "TYPES": TYPES, "WRITE": WRITE}
NAMED = [(file, name) for file, statements in FILES.items() for name in statements]
STATEMENTS = {name: FILES[file][name] for file, name in NAMED}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_statement_is_used(file: str, name: str) -> None:
    assert f'{file}["{name}"]' in CODE


def test_every_statement_that_is_used_exists() -> None:
    used = re.findall(r'(DURABILITY|READ|SESSION|TYPES|WRITE)\["(\w+)"\]', CODE)
    assert used
    assert set(used) <= set(NAMED)


def test_every_file_is_loaded_and_no_name_stands_twice() -> None:
    files = sorted(file.name for file in (FOLDER / "sql").iterdir())
    assert files == [
        "durability.sql",
        "entity_types.sql",
        "read.sql",
        "retention.sql",
        "session.sql",
        "write.sql",
    ]
    for file in files:
        text = (FOLDER / "sql" / file).read_text()
        assert len(load_statements(file)) == text.count("-- name: ")
    assert len(STATEMENTS) == len(NAMED)


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_is_one_and_names_its_columns(statement: str) -> None:
    without_comments = re.sub(r"--.*", "", statement)
    assert ";" not in without_comments
    outermost = without_comments.split("unnest")[0]
    assert not re.search(r"\ba\.\*|SELECT \*\s+FROM aggregates", outermost)
