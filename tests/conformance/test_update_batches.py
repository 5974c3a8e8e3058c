"""What domain.ports.AggregateWriter promises of updates that are made together."""

import asyncio
import math
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.errors import InvalidValue, LimitExceeded, RequestIdReused, StaleEtag
from domain.update import Update, UpdateBatch
from tests.conformance.conftest import Repository
from tests.kit.reading import features
from tests.kit.samples import add, put, update


@pytest.fixture
def keys(entity_type: str) -> list[EntityKey]:
    return [EntityKey(entity_type, each) for each in "abc"]


def together(*updates: Update, **rest: object) -> UpdateBatch:
    return UpdateBatch(updates=updates, **rest)  # type: ignore[arg-type]


async def test_updates_of_many_entities_are_made_together(
    repository: Repository, keys: list[EntityKey]
) -> None:
    outcome = await repository.update_batch(
        together(*(update(put("f", number), key=key) for number, key in enumerate(keys)))
    )
    assert [each.version for each in outcome.outcomes] == [1, 1, 1]
    assert not outcome.replayed
    found = await repository.read(keys)
    assert list(map(features, found)) == [{"f": 0}, {"f": 1}, {"f": 2}]
    assert [each.etag for each in outcome.outcomes] == [each.etag for each in found if each]


async def test_if_one_update_fails_none_is_made_and_each_that_fails_is_named(
    repository: Repository, keys: list[EntityKey]
) -> None:
    await repository.update(update(put("f", "x"), key=keys[1]))
    before = await repository.read(keys)
    with pytest.raises(InvalidValue) as refused:
        await repository.update_batch(
            together(
                update(put("f", 1), key=keys[0]),
                update(put("f", 1), key=keys[1]),
                update(put("g", 1), put("f", math.nan), key=keys[2]),
            )
        )
    assert [violation.field for violation in refused.value.violations] == [
        "updates[1].updates[0].set",
        "updates[2].updates[1].set",
    ]
    assert await repository.read(keys) == before


async def test_one_stale_etag_stops_them_all(repository: Repository, keys: list[EntityKey]) -> None:
    read = await repository.update(update(put("f", 1), key=keys[0]))
    await repository.update(update(put("f", 2), key=keys[0]))
    before = await repository.read(keys)
    with pytest.raises(StaleEtag):
        await repository.update_batch(
            together(
                update(put("f", 3), key=keys[1]), update(put("f", 3), key=keys[0], etag=read.etag)
            )
        )
    assert await repository.read(keys) == before


async def test_one_entity_may_be_updated_more_than_once(
    repository: Repository, keys: list[EntityKey]
) -> None:
    outcome = await repository.update_batch(
        together(*(update(add("f", number), key=keys[number % 2]) for number in range(6)))
    )
    assert [each.version for each in outcome.outcomes] == [1, 1, 2, 2, 3, 3]
    found = await repository.read(keys)
    assert list(map(features, found)) == [{"f": 0 + 2 + 4}, {"f": 1 + 3 + 5}, None]


async def test_a_repeated_batch_is_applied_once(
    repository: Repository, keys: list[EntityKey]
) -> None:
    request_id = uuid4()
    batch = together(
        *(update(add("f", 1), key=key) for key in keys), request_id=request_id, fingerprint=b"1"
    )
    first = await repository.update_batch(batch)
    again = await repository.update_batch(batch)
    assert again.replayed
    assert [each.version for each in again.outcomes] == [each.version for each in first.outcomes]
    assert list(map(features, await repository.read(keys))) == [{"f": 1}] * 3
    with pytest.raises(RequestIdReused):
        await repository.update_batch(
            together(update(add("f", 1), key=keys[2]), request_id=request_id, fingerprint=b"2")
        )


def seventy_with_their_aggregate(key: EntityKey, **rest: object) -> UpdateBatch:
    return together(*[update(add("n", 1), key=key, return_aggregate=True)] * 70, **rest)


async def test_a_batch_whose_answer_would_be_too_large_is_refused(
    repository: Repository, keys: list[EntityKey]
) -> None:
    await repository.update(update(put("large", "x" * 1_000_000), key=keys[0]))
    before = await repository.read(keys)
    with pytest.raises(LimitExceeded, match="67,108,864 bytes of aggregates in an answer"):
        await repository.update_batch(seventy_with_their_aggregate(keys[0]))
    assert await repository.read(keys) == before


async def test_a_repeated_batch_is_answered_with_as_much_as_fits(
    repository: Repository, keys: list[EntityKey]
) -> None:
    batch = seventy_with_their_aggregate(keys[0], request_id=uuid4(), fingerprint=b"1")
    first = await repository.update_batch(batch)
    assert all(each.state is not None for each in first.outcomes)
    await repository.update(update(put("large", "x" * 1_000_000), key=keys[0]))
    again = await repository.update_batch(batch)
    assert all(each.replayed for each in again.outcomes)
    assert [each.version for each in again.outcomes] == [each.version for each in first.outcomes]
    assert [each.state is not None for each in again.outcomes] == [True] * 67 + [False] * 3


async def test_batches_and_updates_of_the_same_entities_lose_nothing(
    repository: Repository, keys: list[EntityKey]
) -> None:
    async def both(number: int) -> None:
        if number % 2:
            await repository.update_batch(
                together(*(update(add("f", 1), key=key) for key in keys[:: (-1) ** number]))
            )
        else:
            await asyncio.gather(*(repository.update(update(add("f", 1), key=key)) for key in keys))

    await asyncio.gather(*map(both, range(40)))
    assert list(map(features, await repository.read(keys))) == [{"f": 40}] * 3


async def test_a_batch_about_too_many_bytes_is_refused_but_not_what_it_was_applied_to(
    repository: Repository, entity_type: str
) -> None:
    keys = [EntityKey(entity_type, f"{number:02}") for number in range(34)]
    request = together(*(update(put("f", 1), key=key) for key in keys), request_id=uuid4())
    first = await repository.update_batch(request)
    content = bytes(1_000_000)
    await asyncio.gather(
        *(repository.update(update(put("content", content), key=key)) for key in keys)
    )
    before = await repository.read(keys[:1])
    again = together(*(update(put("f", 2), key=key) for key in keys))
    with pytest.raises(LimitExceeded) as refused:
        await repository.update_batch(again)
    assert refused.value.subject == "bytes of aggregates in a batch"
    assert refused.value.limit == 33_554_432
    assert await repository.read(keys[:1]) == before
    replayed = await repository.update_batch(request)
    assert replayed.replayed
    assert [each.version for each in replayed.outcomes] == [1] * 34
    assert [each.etag for each in replayed.outcomes] == [each.etag for each in first.outcomes]
    with pytest.raises(RequestIdReused):
        await repository.update_batch(
            together(*again.updates, request_id=request.request_id, fingerprint=b"another")
        )
    one = await repository.update_batch(together(*again.updates[:2]))
    assert [each.version for each in one.outcomes] == [3, 3]
