"""What domain.ports.AggregateWriter promises of deletions."""

import asyncio
from uuid import uuid4

import pytest
from msgspec.structs import replace

from domain.entity_key import EntityKey
from domain.errors import AggregateNotFound, Overloaded, StaleEtag
from domain.update import Deletion, UpdateBatch
from tests.conformance.conftest import Repository
from tests.kit.reading import current, current_features, list_all, message_of
from tests.kit.samples import add, put, remove, update


async def test_what_is_deleted_is_neither_read_nor_listed(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(put("f", 1), key=key))
    updated = await repository.update(update(put("f", 2), key=key))
    outcome = await repository.delete(Deletion(key=key))
    assert (outcome.version, outcome.replayed) == (3, False)
    assert outcome.delete_time > updated.update_time
    assert await repository.read([key]) == [None]
    assert await list_all(repository, key.entity_type) == []


async def test_what_is_not_there_cannot_be_deleted(repository: Repository, key: EntityKey) -> None:
    with pytest.raises(AggregateNotFound):
        await repository.delete(Deletion(key=key))
    await repository.update(update(put("f", 1), key=key))
    await repository.delete(Deletion(key=key))
    with pytest.raises(AggregateNotFound):
        await repository.delete(Deletion(key=key))


async def test_only_the_current_etag_deletes(repository: Repository, key: EntityKey) -> None:
    first = await repository.update(update(put("f", 1), key=key))
    second = await repository.update(update(put("f", 2), key=key))
    with pytest.raises(StaleEtag):
        await repository.delete(Deletion(key=key, etag=first.etag))
    assert await current_features(repository, key) == {"f": 2}
    await repository.delete(Deletion(key=key, etag=second.etag))
    assert await repository.read([key]) == [None]


@pytest.mark.parametrize("erase_history", [False, True])
async def test_after_a_deletion_a_new_incarnation_begins(
    repository: Repository, key: EntityKey, erase_history: bool
) -> None:
    first = await repository.update(update(put("f", 1, 30), key=key))
    deleted = await repository.delete(Deletion(key=key, erase_history=erase_history))
    reborn = await repository.update(update(put("f", "another kind", 10), key=key))
    assert reborn.version == 1
    assert reborn.uid != first.uid
    assert reborn.update_time > deleted.delete_time
    message = message_of(await current(repository, key))
    assert message.create_time.ToNanoseconds() == reborn.update_time
    assert await current_features(repository, key) == {"f": "another kind"}


async def test_the_etag_of_an_incarnation_ends_with_it(
    repository: Repository, key: EntityKey
) -> None:
    first = await repository.update(update(put("f", 1), key=key))
    await repository.delete(Deletion(key=key))
    with pytest.raises(StaleEtag):
        await repository.update(update(put("f", 2), key=key, etag=first.etag))
    reborn = await repository.update(update(put("f", 2), key=key))
    assert reborn.version == first.version
    with pytest.raises(StaleEtag):
        await repository.update(update(put("f", 3), key=key, etag=first.etag))


async def test_deletions_keep_their_place_among_updates(
    repository: Repository, key: EntityKey
) -> None:
    answers = await asyncio.gather(
        repository.update(update(add("f", 1), key=key)),
        repository.update(update(add("f", 1), key=key)),
        repository.delete(Deletion(key=key)),
        repository.update(update(add("f", 1), key=key)),
        repository.delete(Deletion(key=key)),
        repository.update(update(add("f", 5), key=key)),
    )
    assert [answer.version for answer in answers] == [1, 2, 3, 1, 2, 1]
    assert await current_features(repository, key) == {"f": 5}


async def test_what_is_made_and_deleted_at_once_was_there(
    repository: Repository, key: EntityKey
) -> None:
    made, deleted = await asyncio.gather(
        repository.update(update(put("f", 1), key=key)),
        repository.delete(Deletion(key=key)),
    )
    assert (made.version, deleted.version) == (1, 2)
    assert await repository.read([key]) == [None]


async def test_no_deletion_begins_after_its_deadline(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(put("f", 1), key=key))
    with pytest.raises(Overloaded, match="time of this request was up"):
        await repository.delete(Deletion(key=key), asyncio.get_running_loop().time() - 1)
    assert await current_features(repository, key) == {"f": 1}


async def test_what_was_deleted_plainly_is_erased_afterwards(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(put("f", 1), key=key))
    deleted = await repository.delete(Deletion(key=key))
    erased = await repository.delete(Deletion(key=key, erase_history=True))
    assert (erased.version, erased.replayed) == (deleted.version, False)
    assert erased.delete_time > deleted.delete_time
    assert await repository.read([key]) == [None]
    # The fact of the deletion is left, so to erase again is no error.
    again = await repository.delete(Deletion(key=key, erase_history=True))
    assert again.version == deleted.version
    assert again.delete_time > erased.delete_time


async def test_of_what_never_was_nothing_can_be_erased(
    repository: Repository, key: EntityKey
) -> None:
    with pytest.raises(AggregateNotFound):
        await repository.delete(Deletion(key=key, erase_history=True))


async def test_an_entity_of_which_only_a_request_id_is_known_can_be_erased(
    repository: Repository, key: EntityKey
) -> None:
    nothing = update(remove("f"), key=key, request_id=uuid4(), fingerprint=b"1")
    await repository.update(nothing)
    assert (await repository.update(nothing)).replayed
    erased = await repository.delete(Deletion(key=key, erase_history=True))
    assert erased.version == 0
    assert not (await repository.update(nothing)).replayed


async def test_an_etag_of_what_was_deleted_erases_nothing(
    repository: Repository, key: EntityKey
) -> None:
    read = await repository.update(update(put("f", 1), key=key))
    await repository.delete(Deletion(key=key))
    with pytest.raises(StaleEtag):
        await repository.delete(Deletion(key=key, etag=read.etag, erase_history=True))


async def test_an_erasure_of_what_was_deleted_is_applied_once(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(put("f", 1), key=key))
    await repository.delete(Deletion(key=key))
    asked = Deletion(key=key, request_id=uuid4(), fingerprint=b"1", erase_history=True)
    first = await repository.delete(asked)
    reborn = await repository.update(update(put("f", 2), key=key))
    assert await repository.delete(asked) == replace(first, replayed=True)
    assert await current_features(repository, key) == {"f": 2}
    assert (await current(repository, key)).uid == reborn.uid


async def test_an_entity_that_came_back_is_erased_with_all_its_incarnations(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(put("f", 1), key=key))
    await repository.delete(Deletion(key=key))
    await repository.update(update(put("f", 2), key=key))
    erased = await repository.delete(Deletion(key=key, erase_history=True))
    assert erased.version == 2
    assert await repository.read([key]) == [None]


@pytest.mark.parametrize("deleted_before", [False, True])
async def test_an_erasure_forgets_every_request_but_itself(
    repository: Repository, key: EntityKey, deleted_before: bool
) -> None:
    asked = update(put("f", 1), key=key, request_id=uuid4(), fingerprint=b"1")
    await repository.update(asked)
    if deleted_before:
        await repository.delete(Deletion(key=key))
        assert (await repository.update(asked)).replayed
    erasure = Deletion(key=key, request_id=uuid4(), fingerprint=b"2", erase_history=True)
    await repository.delete(erasure)
    assert (await repository.delete(erasure)).replayed
    # Nothing tells any more that it was applied: it is a request like any other.
    again = await repository.update(asked)
    assert (again.version, again.replayed) == (1, False)


async def test_a_batch_is_known_without_what_was_erased_of_it(
    repository: Repository, key: EntityKey
) -> None:
    """It is not applied to the others a second time, whichever of its entities was erased."""
    keys = [key._replace(entity_id=each) for each in "abc"]
    for each in keys:
        await repository.update(update(put("late", 1, 20), key=each))
    batch = UpdateBatch(
        updates=tuple(update(add("f", 1), put("late", 2, 10), key=each) for each in keys),
        request_id=uuid4(),
        fingerprint=b"1",
    )
    first = await repository.update_batch(batch)
    assert [each.stale_features for each in first.outcomes] == [("late",)] * 3
    assert (await repository.update_batch(batch)).outcomes == tuple(
        replace(each, replayed=True) for each in first.outcomes
    )
    await repository.delete(Deletion(key=keys[1], erase_history=True))
    again = await repository.update_batch(batch)
    assert again.replayed
    assert [each.version for each in again.outcomes] == [2, 2, 2]
    assert [each.stale_features for each in again.outcomes] == [("late",), (), ("late",)]
    await repository.delete(Deletion(key=keys[0], erase_history=True))
    last = await repository.update_batch(batch)
    assert last.replayed
    assert [each.version for each in last.outcomes] == [0, 0, 0]
    assert await repository.read(keys[:2]) == [None, None]
    assert await current_features(repository, keys[2]) == {"f": 1, "late": 1}
