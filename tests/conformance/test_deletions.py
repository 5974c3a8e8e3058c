"""What domain.ports.AggregateWriter promises of deletions."""

import asyncio

import pytest

from domain.entity_key import EntityKey
from domain.errors import AggregateNotFound, Overloaded, StaleEtag
from domain.update import Deletion
from tests.conformance.conftest import Repository
from tests.conformance.reading import current, current_features, list_all, message_of
from tests.samples import add, put, update


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
