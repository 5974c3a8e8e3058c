"""A batch that is evaluated while the one ahead of it is written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from domain.update import Command
from repository.pipeline import commit_pipeline
from repository.pipeline.submission import Submission
from repository.postgres import PostgresRepository
from tests.kit.fault_injection import MeddledPool, meddled_repository_on
from tests.kit.waiting import eventually


class Chain:
    """A repository in which whatever waits follows right behind what is being written."""

    def __init__(self, repository: PostgresRepository, pool: MeddledPool) -> None:
        self.repository = repository
        self.pool = pool

    async def run(
        self,
        ahead: Command,
        *behind: Command,
        meanwhile: Callable[[], Awaitable[object]] | None = None,
    ) -> list[Any]:
        """Commit a batch of one command while one of the others is already evaluated.

        `meanwhile` happens between their evaluation and the write of the first.
        """
        pipeline = self.repository._pipeline
        go_on = asyncio.Event()
        self.pool.before.append(go_on.wait)
        answers = [self.repository.submit(ahead)]
        while pipeline.waiting:  # noqa: ASYNC110 - the others must come before it has read
            await asyncio.sleep(0)
        answers += [self.repository.submit(command) for command in behind]
        await eventually(lambda: len(pipeline._under_way) == 2)
        await asyncio.sleep(0.05)
        assert not any(answer.done() for answer in answers)
        if meanwhile is not None:
            await meanwhile()
        go_on.set()
        return await asyncio.gather(*answers, return_exceptions=True)


def waiting(command: Command) -> Submission:
    loop = asyncio.get_running_loop()
    return Submission(command, loop.create_future(), loop.time() + 9)


@pytest.fixture
async def chain(shared_database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chain]:
    monkeypatch.setattr(commit_pipeline, "ENOUGH", 1)
    async with meddled_repository_on(shared_database) as (repository, pool):
        yield Chain(repository, pool)
