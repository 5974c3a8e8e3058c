"""One fortress for all tests of this folder, on a database of its own.

It runs on one version of PostgreSQL: nothing here rests on the database.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.attacks.database import attacked
from tests.kit.secured_server import Fortress


@pytest.fixture(scope="session")
async def attacked_database() -> AsyncIterator[str]:
    """The DSN of a database that only the tests of this folder use."""
    async with attacked() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def fortress(
    attacked_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fortress]:
    """A server that lets few in, and what one needs to be among them."""
    with Fortress(tmp_path_factory.mktemp("fortress")).serving(attacked_database) as serving:
        yield serving


@pytest.fixture(autouse=True)
def healthy(fortress: Fortress) -> Iterator[None]:
    """After each attack the server answers an honest caller as before."""
    yield
    assert fortress.is_well()
