"""What one server shows does not vouch for what was read on another one."""

from typing import Any

import pytest

from domain.errors import DatabaseUnavailable
from repository.connections.commits_in_doubt import CommitsInDoubt


class FakePool:
    """Every barrier passes while it is there; perhaps it finds that the server is another one."""

    def __init__(self, changes_server: bool, in_doubt: bool) -> None:
        self.generation = 0
        self.is_away = False
        self._changes_server = changes_server
        self._in_doubt = in_doubt

    def _found_another(self) -> None:
        self.generation += self._changes_server

    async def read(self, *_: object) -> list[tuple[str]]:
        self._found_another()
        return [("1 2026-11-29T00:00:00+00:00",)] if self._in_doubt else []

    async def commit(self, work: Any) -> None:
        if self.is_away:
            raise DatabaseUnavailable
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


async def test_that_no_barrier_passes_is_two_lines_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool: Any = FakePool(changes_server=False, in_doubt=True)
    commits = CommitsInDoubt(pool)
    pool.is_away = True
    for _ in range(10):
        with pytest.raises(DatabaseUnavailable):
            await commits.vouch(commits.generation)
    (line,) = caplog.messages
    assert "is not known to be durable: DatabaseUnavailable" in line
    pool.is_away = False
    pool.read = nothing_in_doubt
    await commits.settle(commits.generation)
    await commits.settle(commits.generation)
    assert caplog.messages[1:] == ["what was read is known to be durable again"]


async def nothing_in_doubt(*_: object) -> list[tuple[str]]:
    return []
