"""What domain.ports.AggregateWriter promises of updates that ask that there is no aggregate."""

import asyncio
import math
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.errors import AggregateExists, InvalidValue
from domain.outcome import UpdateOutcome
from domain.update import Deletion, FeatureUpdate, Update, UpdateBatch
from tests.conformance.conftest import Repository
from tests.kit.reading import current, current_features
from tests.kit.samples import add, put, remove, update


def creation(key: EntityKey, *items: FeatureUpdate, **rest: object) -> Update:
    return update(*items, key=key, must_be_absent=True, **rest)


async def test_what_is_absent_is_made_and_what_is_there_is_left_alone(
    repository: Repository, key: EntityKey
) -> None:
    assert (await repository.update(creation(key, put("f", 1)))).version == 1
    await repository.update(update(put("f", 2), key=key))
    before = await current(repository, key)
    with pytest.raises(AggregateExists) as refused:
        await repository.update(creation(key, put("f", 3), put("g", 3)))
    assert refused.value.current_version == 2
    assert await current(repository, key) == before


async def test_a_deleted_aggregate_is_absent(repository: Repository, key: EntityKey) -> None:
    first = await repository.update(creation(key, put("f", 1)))
    await repository.delete(Deletion(key=key))
    again = await repository.update(creation(key, put("f", 2)))
    assert again.version == 1
    assert again.uid != first.uid
    assert await current_features(repository, key) == {"f": 2}


async def test_of_many_creations_at_once_exactly_one_is_made(
    repository: Repository, key: EntityKey
) -> None:
    wanted = [creation(key, put("maker", number), add("f", 1)) for number in range(64)]
    answers = await asyncio.gather(*map(repository.update, wanted), return_exceptions=True)
    (made,) = [answer for answer in answers if isinstance(answer, UpdateOutcome)]
    assert made.version == 1
    assert [type(answer) for answer in answers if answer is not made] == [AggregateExists] * 63
    assert await current_features(repository, key) == {"maker": answers.index(made), "f": 1}


async def test_whoever_comes_after_an_update_that_makes_the_aggregate_is_refused(
    repository: Repository, key: EntityKey
) -> None:
    """Sent together, they may be evaluated in one batch, or one right behind the other."""
    submitted = [
        repository.submit(update(put("f", 1), key=key)),
        repository.submit(creation(key, put("f", 2))),
        repository.submit(Deletion(key=key)),
        repository.submit(creation(key, put("f", 3))),
        repository.submit(creation(key, put("f", 4))),
    ]
    answers = await asyncio.gather(*submitted, return_exceptions=True)
    refused = [isinstance(answer, AggregateExists) for answer in answers]
    assert refused == [False, True, False, False, True]
    assert await current_features(repository, key) == {"f": 3}


async def test_what_makes_nothing_leaves_it_absent(repository: Repository, key: EntityKey) -> None:
    for _ in range(2):
        assert (await repository.update(creation(key, remove("f")))).version == 0
    assert (await repository.update(creation(key, put("f", 1)))).version == 1


async def test_a_creation_that_is_sent_again_is_answered_as_it_was(
    repository: Repository, key: EntityKey
) -> None:
    wanted = creation(key, put("f", 1), request_id=uuid4(), fingerprint=b"this one")
    first = await repository.update(wanted)
    await repository.update(update(put("f", 2), key=key))
    again = await repository.update(wanted)
    assert (again.version, again.etag, again.replayed) == (1, first.etag, True)
    with pytest.raises(AggregateExists):
        await repository.update(creation(key, put("f", 1), request_id=uuid4(), fingerprint=b"2"))
    assert await current_features(repository, key) == {"f": 2}


async def test_a_rehearsed_creation_is_refused_as_a_real_one(
    repository: Repository, key: EntityKey
) -> None:
    rehearsal = creation(key, put("f", 1), validate_only=True)
    assert (await repository.update(rehearsal)).version == 1
    assert await repository.read([key]) == [None]
    await repository.update(creation(key, put("f", 1)))
    with pytest.raises(AggregateExists):
        await repository.update(rehearsal)


async def test_what_is_not_valid_is_said_before_that_there_is_an_aggregate(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(put("f", 1), key=key))
    with pytest.raises(InvalidValue):
        await repository.update(creation(key, put("f", math.nan)))


async def test_a_batch_makes_all_that_is_absent_or_nothing(
    repository: Repository, entity_type: str
) -> None:
    keys = [EntityKey(entity_type, each) for each in "abc"]
    await repository.update(update(put("f", 1), key=keys[1]))
    before = await repository.read(keys)
    with pytest.raises(AggregateExists, match=r"^updates\[1\], ") as refused:
        await repository.update_batch(
            UpdateBatch(updates=tuple(creation(key, put("f", 2)) for key in keys))
        )
    assert refused.value.current_version == 1
    assert await repository.read(keys) == before
    made = await repository.update_batch(
        UpdateBatch(updates=tuple(creation(key, put("f", 2)) for key in keys[::2]))
    )
    assert [outcome.version for outcome in made.outcomes] == [1, 1]


async def test_in_a_batch_it_is_about_what_the_updates_before_it_leave(
    repository: Repository, key: EntityKey
) -> None:
    twice = UpdateBatch(updates=(creation(key, put("f", 1)), creation(key, put("g", 1))))
    with pytest.raises(AggregateExists, match=r"^updates\[1\], "):
        await repository.update_batch(twice)
    assert await repository.read([key]) == [None]
    once = UpdateBatch(updates=(creation(key, put("f", 1)), update(put("g", 1), key=key)))
    await repository.update_batch(once)
    assert await current_features(repository, key) == {"f": 1, "g": 1}
