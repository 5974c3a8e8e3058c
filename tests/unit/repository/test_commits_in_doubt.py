"""What one server shows does not vouch for what was read on another one."""

from typing import Any

import pytest

from domain.errors import DatabaseUnavailable
from repository.connections.commits_in_doubt import CommitsInDoubt


class FakePool:
    """Every barrier passes; perhaps it finds that the server is another one."""

    def __init__(self, changes_server: bool, in_doubt: bool) -> None:
        self.generation = 0
        self._changes_server = changes_server
        self._in_doubt = in_doubt

    def _found_another(self) -> None:
        self.generation += self._changes_server

    async def read(self, *_: object) -> list[tuple[str]]:
        self._found_another()
        return [("1 2026-11-29T00:00:00+00:00",)] if self._in_doubt else []

    async def commit(self, work: Any) -> None:
        self._found_another()


@pytest.mark.parametrize("in_doubt", [False, True])
async def test_what_was_read_on_another_server_is_not_vouched_for(in_doubt: bool) -> None:
    pool: Any = FakePool(changes_server=True, in_doubt=in_doubt)
    commits = CommitsInDoubt(pool)
    generation = commits.generation
    with pytest.raises(DatabaseUnavailable):
        await commits.vouch(generation)
    pool.generation = generation
    with pytest.raises(DatabaseUnavailable):
        await commits.settle(generation)


async def test_a_barrier_of_the_same_server_vouches_for_what_was_read() -> None:
    pool: Any = FakePool(changes_server=False, in_doubt=False)
    commits = CommitsInDoubt(pool)
    await commits.vouch(commits.generation)
    await commits.settle(commits.generation)
