"""One suite for every repository: in memory, and on each PostgreSQL."""

import itertools
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Final, Protocol

import pytest

from application.entity_types import EntityTypes
from domain.entity_key import EntityKey
from domain.limits import Limits
from domain.ports import AggregateReader, AggregateWriter
from repository.memory import MemoryRepository
from repository.postgres import PostgresRepository
from tests.conformance.typed_updates import Repository as TypedRepository
from tests.conformance.typed_updates import Write
from tests.kit.postgres import Postgres, servers

NOWHERE: Final = Postgres(dsn="")

_NUMBERS: Final = itertools.count(1)


class Repository(AggregateReader, AggregateWriter, Protocol):
    """Both ports, as one object."""


def in_memory() -> "nullcontext[Postgres]":
    return nullcontext(NOWHERE)


_KINDS: Final = {**servers(), "memory": in_memory}

every_repository: Final = pytest.mark.parametrize(
    "postgres", list(_KINDS.values()), ids=list(_KINDS), indirect=True
)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let what asks for a repository run without a server too."""
    if "repository" in metafunc.fixturenames:
        metafunc.definition.add_marker(every_repository)


@pytest.fixture(scope="session")
def dsn(postgres: Postgres, request: pytest.FixtureRequest) -> str | None:
    """A database for all these tests, which keep out of each other's way by entity type."""
    if postgres is NOWHERE:
        return None
    made: str = request.getfixturevalue("shared_database")
    return made


@pytest.fixture(scope="session")
async def repository(dsn: str | None) -> AsyncIterator[Repository]:
    """Takes updates and serves reads."""
    if dsn is None:
        yield MemoryRepository()
        return
    opened = PostgresRepository(dsn)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def entity_type() -> str:
    """An entity type that no other test knows."""
    return f"t{next(_NUMBERS)}"


@pytest.fixture
def key(entity_type: str) -> EntityKey:
    """An entity that no other test knows."""
    return EntityKey(entity_type, "c-1")


@pytest.fixture
def types(fresh_repository: TypedRepository) -> EntityTypes:
    """The entity types of a repository of the test's own."""
    return EntityTypes(fresh_repository.entity_types, fresh_repository.compiler, Limits())


@pytest.fixture
def write(fresh_repository: TypedRepository) -> Write:
    """Updates of that repository."""
    return Write(fresh_repository)
