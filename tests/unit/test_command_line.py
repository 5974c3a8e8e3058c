"""`featom` tells which version it is, and how each of its commands is used."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app


def paths(command: Any, *before: str) -> Iterator[tuple[str, ...]]:
    """Each command, and each of its own."""
    for name, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield (*before, name)
            yield from paths(each, *before, name)


COMMANDS = list(paths(typer.main.get_command(app)))


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), prog_name="featom")
    assert result.exit_code == 0, result.output
    return result.output


def test_the_version_is_told() -> None:
    assert re.fullmatch(
        rf"featom {re.escape(version('featom'))} \(build \d+\)\n", said("--version")
    )


def test_help_names_every_command_in_a_line_that_is_whole() -> None:
    listed = said("-h").partition("Commands:")[2]
    for name, *below in COMMANDS:
        assert below or re.search(rf"^  {name} +\S.*\.$", listed, re.MULTILINE), name
    assert "..." not in listed


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_has_examples_that_begin_with_it(command: tuple[str, ...]) -> None:
    told = said(*command, "-h")
    assert told == said(*command, "--help")
    if command in {("migrate",), ("types",)}:
        return  # they tell of their own commands
    examples = told.partition("Examples:\n")[2].splitlines()
    # `featom migrate` alone is `featom migrate up`.
    begins = f"  featom {' '.join(command).removesuffix(' up')}"
    found = [line.strip() for line in examples if line.strip().startswith("featom ")]
    assert found
    assert all(f"  {line}".startswith(begins) for line in found), found


def test_no_option_and_no_variable_is_cut() -> None:
    for command in COMMANDS:
        assert "…" not in said(*command, "-h")


def test_help_may_be_asked_for_as_a_command() -> None:
    assert said("help") == said("--help")
    assert said("help", "migrate", "up") == said("migrate", "up", "--help")
