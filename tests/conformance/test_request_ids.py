"""What domain.ports.AggregateWriter promises of request ids."""

import asyncio
import math
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from domain.entity_key import EntityKey
from domain.errors import AggregateNotFound, InvalidValue, RequestIdReused, StaleEtag
from domain.update import Deletion, FeatureUpdate, Update
from tests.conformance.conftest import Repository
from tests.kit.reading import current, current_features
from tests.kit.samples import add, put, remove, update


@pytest.fixture
def request_id() -> UUID:
    return uuid4()


def named(key: EntityKey, request_id: UUID, *items: FeatureUpdate, **rest: object) -> Update:
    """An update with a request id, and a fingerprint that says what it asks for."""
    return update(*items, key=key, request_id=request_id, fingerprint=repr(items).encode(), **rest)


def deletion(key: EntityKey, request_id: UUID | None = None, **rest: object) -> Deletion:
    asked: dict[str, object] = {"fingerprint": b"delete", **rest}
    return Deletion(key=key, request_id=request_id, **asked)  # type: ignore[arg-type]


async def test_a_repeated_request_is_applied_once_and_answered_alike(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    asked = named(key, request_id, add("f", 1, 10), put("g", 1, 10))
    first = await repository.update(asked)
    again = await repository.update(asked)
    assert again == replace(first, replayed=True)
    assert await current_features(repository, key) == {"f": 1, "g": 1}


async def test_the_first_answer_stays_the_answer_whatever_came_since(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    await repository.update(update(put("late", 1, 20), key=key))
    asked = named(key, request_id, add("f", 1), put("late", 2, 10))
    first = await repository.update(asked)
    for _ in range(3):
        await repository.update(update(add("f", 1), key=key))
    again = await repository.update(asked)
    assert again == replace(first, replayed=True)
    assert again.stale_features == ("late",)
    assert await current_features(repository, key) == {"f": 4, "late": 1}


async def test_of_many_repetitions_at_once_one_is_applied(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    asked = named(key, request_id, add("f", 1))
    outcomes = await asyncio.gather(*(repository.update(asked) for _ in range(20)))
    assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 19
    assert {outcome.version for outcome in outcomes} == {1}
    assert await current_features(repository, key) == {"f": 1}


async def test_an_id_that_comes_with_another_request_is_refused(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    await repository.update(named(key, request_id, add("f", 1)))
    with pytest.raises(RequestIdReused):
        await repository.update(named(key, request_id, add("f", 2)))
    with pytest.raises(RequestIdReused):
        await repository.delete(deletion(key, request_id))
    assert await current_features(repository, key) == {"f": 1}


async def test_an_id_belongs_to_its_entity(
    repository: Repository, entity_type: str, request_id: UUID
) -> None:
    for entity_id in "ab":
        outcome = await repository.update(
            named(EntityKey(entity_type, entity_id), request_id, add("f", 1))
        )
        assert not outcome.replayed


async def test_a_request_that_was_refused_may_come_again(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    with pytest.raises(InvalidValue):
        await repository.update(named(key, request_id, put("f", math.nan)))
    outcome = await repository.update(named(key, request_id, put("f", 1)))
    assert (outcome.version, outcome.replayed) == (1, False)


async def test_a_request_that_changed_nothing_is_known_too(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    nothing = named(key, request_id, remove("f"))
    first = await repository.update(nothing)
    await repository.update(update(put("f", 1), key=key))
    again = await repository.update(nothing)
    assert (first.version, first.replayed) == (0, False)
    assert (again.version, again.etag, again.replayed) == (0, None, True)
    assert await current_features(repository, key) == {"f": 1}


async def test_a_request_of_late_values_only_is_known_too(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    await repository.update(update(put("f", 1, 20), key=key))
    late = named(key, request_id, put("f", 2, 10))
    first = await repository.update(late)
    await repository.update(update(remove("f", 30), key=key))
    again = await repository.update(late)
    assert again == replace(first, replayed=True)
    assert again.stale_features == ("f",)
    assert await current_features(repository, key) == {}


async def test_a_repetition_with_an_etag_is_answered_although_the_etag_is_stale_by_now(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    read = await repository.update(update(put("f", 1), key=key))
    asked = named(key, request_id, put("f", 2), etag=read.etag)
    first = await repository.update(asked)
    assert await repository.update(asked) == replace(first, replayed=True)
    with pytest.raises(StaleEtag):
        await repository.update(named(key, uuid4(), put("f", 2), etag=read.etag))


async def test_a_repetition_that_wants_the_aggregate_gets_it_as_it_is_now(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    asked = named(key, request_id, add("f", 1), return_aggregate=True)
    first = await repository.update(asked)
    await repository.update(update(add("f", 1), key=key))
    again = await repository.update(asked)
    now = await current(repository, key)
    assert (again.version, again.etag) == (1, first.etag)
    assert (again.state, again.state_etag) == (now.state, now.etag)


async def test_a_repeated_deletion_deletes_once(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    await repository.update(update(put("f", 1), key=key))
    first = await repository.delete(deletion(key, request_id))
    assert await repository.delete(deletion(key, request_id)) == replace(first, replayed=True)
    await repository.update(update(put("f", 2), key=key))
    assert await repository.delete(deletion(key, request_id)) == replace(first, replayed=True)
    assert await current_features(repository, key) == {"f": 2}


async def test_a_request_is_known_beyond_the_deletion_of_its_aggregate(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    asked = named(key, request_id, put("f", 1), return_aggregate=True)
    first = await repository.update(asked)
    await repository.delete(Deletion(key=key))
    again = await repository.update(asked)
    assert again == replace(first, replayed=True, state=None, state_etag=None)
    assert await repository.read([key]) == [None]


async def test_a_deletion_that_found_nothing_is_not_known(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    with pytest.raises(AggregateNotFound):
        await repository.delete(deletion(key, request_id))
    await repository.update(update(put("f", 1), key=key))
    assert not (await repository.delete(deletion(key, request_id))).replayed


async def test_validation_only_is_not_known_afterwards(
    repository: Repository, key: EntityKey, request_id: UUID
) -> None:
    await repository.update(named(key, request_id, put("f", 1), validate_only=True))
    assert not (await repository.update(named(key, request_id, put("f", 1)))).replayed
