"""Commands with a request id, asked until a deadline, and asked again."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.outcome import UpdateOutcome
from domain.update import Update
from repository.postgres import PostgresRepository
from tests.kit.samples import put, update
from tests.kit.waiting import eventually_true


@pytest.fixture
def key() -> EntityKey:
    return EntityKey("card", uuid4().hex)


async def within(seconds: float, server: PostgresRepository, command: Any) -> Any:
    """What a server answers: an outcome or an error."""
    deadline = asyncio.get_running_loop().time() + seconds
    (answer,) = await asyncio.gather(server.submit(command, deadline), return_exceptions=True)
    return answer


def asked(key: EntityKey, content: int, **rest: Any) -> Update:
    return update(put("f", content), key=key, request_id=uuid4(), fingerprint=b"1", **rest)


async def replayed(server: PostgresRepository, command: Update) -> UpdateOutcome:
    """The outcome of a command that was committed before, when it can be had."""
    outcomes: list[UpdateOutcome] = []

    async def is_answered() -> bool:
        answer = await within(2.0, server, command)
        outcomes.append(answer)
        return isinstance(answer, UpdateOutcome)

    await eventually_true(is_answered)
    assert outcomes[-1].replayed
    return outcomes[-1]
