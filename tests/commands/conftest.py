"""A server, and the `featom` command that asks it."""

import itertools
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.kit.serving import Server

_NUMBERS: Final = itertools.count(1)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Featom: TypeAlias = Callable[..., Ended]


@pytest.fixture
def kind() -> str:
    """An entity type that no other test knows."""
    return f"k{next(_NUMBERS)}"


@pytest.fixture
def featom(server: Server, monkeypatch: pytest.MonkeyPatch) -> Featom:
    """Runs the command in this process, with its output in a pipe."""
    monkeypatch.setenv("FEATOM_TARGET", server.address)

    def run(*arguments: object, stdin: str = "") -> Ended:
        done = CliRunner().invoke(app, list(map(str, arguments)), input=stdin, prog_name="featom")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ended(done.exit_code, done.stdout, done.stderr)

    return run
