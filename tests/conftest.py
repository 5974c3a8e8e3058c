"""Fixtures of all tests; nothing is started unless a test asks for it."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from tests.kit import needs, newest_alone, order, pristine
from tests.kit.postgres import Postgres, Run, servers
from tests.kit.roles import migrate_for_servers
from tests.kit.serving import Server, serving


def pytest_addoption(parser: pytest.Parser) -> None:
    """A hook of pytest's, which comes too early for plugins."""
    needs.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """A hook of pytest's."""
    pristine.share()  # with the workers, which start later
    for plugin in (newest_alone, needs, order):
        config.pluginmanager.register(plugin)


@pytest.fixture(autouse=True)
def grpc_as_it_was() -> Iterator[None]:
    """A command that runs in this process silences gRPC's core, also in servers begun after it."""
    os.environ.pop("GRPC_VERBOSITY", None)
    yield
    os.environ.pop("GRPC_VERBOSITY", None)


@pytest.fixture(scope="session")
def running() -> Iterator[Callable[[Run], Postgres]]:
    """Starts each server once, also where the tests of one and of another take turns."""
    with ExitStack() as servers_that_run:
        yield cache(lambda run: servers_that_run.enter_context(run()))


@pytest.fixture(scope="session", params=list(servers().values()), ids=list(servers()))
def postgres(request: pytest.FixtureRequest, running: Callable[[Run], Postgres]) -> Postgres:
    """A PostgreSQL server of each kind, one for all tests."""
    run: Run = request.param
    return running(run)


@pytest.fixture(scope="session")
def templates() -> dict[str, str]:
    """The names of `migrated_template` on each server that has one."""
    return {}


@pytest.fixture(scope="session")
async def migrated_template(postgres: Postgres, templates: dict[str, str]) -> str:
    """The name of a database with the newest schema and no rows."""
    if postgres.dsn not in templates:
        name = await postgres.create_database()
        await migrate_for_servers(postgres.dsn_of(name))
        templates[postgres.dsn] = name
    return templates[postgres.dsn]


@pytest.fixture(scope="session")
async def shared_database(postgres: Postgres, migrated_template: str) -> str:
    """The DSN of a database for tests that keep out of each other's way by entity type."""
    return postgres.dsn_of(await postgres.create_database(migrated_template))


@pytest.fixture(scope="session")
def server(shared_database: str) -> Iterator[Server]:
    """A server process on the shared database."""
    with serving(shared_database) as started:
        yield started


@pytest.fixture
async def database(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    """The DSN of a database of the test's own, with the newest schema and no rows."""
    async with postgres.database(migrated_template) as dsn:
        yield dsn


@pytest.fixture
async def bare_database(postgres: Postgres) -> AsyncIterator[str]:
    """The DSN of a database of the test's own, without a schema."""
    async with postgres.database() as dsn:
        yield dsn
