"""What domain.ports.AggregateReader promises of lists of changes."""

import itertools
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from codec.timestamps import decode_timestamp
from domain.entity_key import EntityKey
from domain.ports import ChangePosition, HistoryPage, HistoryQuery
from domain.update import Deletion
from featom.v1.aggregate_pb2 import AggregateChange
from tests.conformance.conftest import Repository
from tests.kit.samples import add, append, put, remove, update

LARGE: Final = 10_000_000

both_orders = pytest.mark.parametrize("newest_first", [True, False], ids=["newest", "oldest"])


def changes_of(page: HistoryPage) -> list[AggregateChange]:
    return [AggregateChange.FromString(change) for change in page.changes]


async def listed(repository: Repository, key: EntityKey, **asked: Any) -> list[AggregateChange]:
    """All changes, on one page."""
    page = await repository.list_changes(HistoryQuery(key, 1_000, LARGE, **asked))
    assert page.end is None
    return changes_of(page)


async def pages_of(
    repository: Repository, key: EntityKey, size: int, **asked: Any
) -> list[list[AggregateChange]]:
    pages: list[list[AggregateChange]] = []
    after: ChangePosition | None = None
    while True:
        page = await repository.list_changes(HistoryQuery(key, size, LARGE, after=after, **asked))
        pages.append(changes_of(page))
        after = page.end
        if after is None:
            return pages


async def live(repository: Repository, key: EntityKey, versions: int, late: int = 0) -> UUID:
    """An incarnation of so many versions, with late values after each; it is not deleted."""
    for _ in range(versions):
        outcome = await repository.update(update(add("n", 1), put("f", 1, 50), key=key))
        for number in range(late):
            await repository.update(update(put("f", number, 40 - number), key=key))
    return outcome.uid


async def test_a_list_tells_what_each_change_did_and_who_asked_for_it(
    repository: Repository, key: EntityKey
) -> None:
    ids = [uuid4() for _ in range(4)]
    first = await repository.update(
        update(put("f", 1, 50), put("g", 1), key=key, request_id=ids[0], actor="ada")
    )
    await repository.update(
        update(put("f", 0, 40), append("l", "x", event_time=1), key=key, request_id=ids[1])
    )
    await repository.update(update(remove("g"), key=key, request_id=ids[2], actor="bob"))
    deleted = await repository.delete(Deletion(key=key, request_id=ids[3], actor="eve"))
    second = await repository.update(update(put("f", 5), key=key))
    changes = await listed(repository, key, newest_first=False)
    assert [
        (each.version, each.actor, sorted(each.features), list(each.removed), each.deleted)
        for each in changes
    ] == [
        (1, "ada", ["f", "g"], [], False),
        (2, "", ["l"], [], False),
        (3, "bob", [], ["g"], False),
        (4, "eve", [], [], True),
        (1, "", ["f"], [], False),
    ]
    assert [each.request_id for each in changes] == [*map(str, ids), ""]
    assert [each.uid for each in changes] == [str(first.uid)] * 4 + [str(second.uid)]
    assert changes[0].features["f"].value.int64_value == 1
    assert decode_timestamp(changes[0].features["f"].event_time) == 50
    assert list(changes[1].late_features) == ["f"]
    times = [decode_timestamp(each.commit_time) for each in changes]
    assert times == sorted(set(times))
    assert (times[0], times[3]) == (first.update_time, deleted.delete_time)
    assert all((each.key.entity_type, each.key.entity_id) == key for each in changes)


@both_orders
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_pages_have_every_change_once_in_order(
    repository: Repository, key: EntityKey, size: int, newest_first: bool
) -> None:
    """Across incarnations, and across many late values of one version."""
    for _ in range(3):
        await live(repository, key, 2, late=3)
        await repository.delete(Deletion(key=key))
    await live(repository, key, 1)
    pages = await pages_of(repository, key, size, newest_first=newest_first)
    assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
    assert 0 < len(pages[-1]) <= size
    changes = list(itertools.chain(*pages))
    assert len(changes) == 3 * (2 * (1 + 3) + 1) + 1
    times = [decode_timestamp(each.commit_time) for each in changes]
    assert times == sorted(set(times), reverse=newest_first)
    assert changes == await listed(repository, key, newest_first=newest_first)


@both_orders
async def test_one_incarnation_is_listed_alone(
    repository: Repository, key: EntityKey, newest_first: bool
) -> None:
    uids = []
    for _ in range(3):
        uids.append(await live(repository, key, 3))
        await repository.delete(Deletion(key=key))
    for uid in uids:
        changes = await listed(repository, key, uid=uid, newest_first=newest_first)
        assert {each.uid for each in changes} == {str(uid)}
        versions = [each.version for each in changes]
        assert versions == ([4, 3, 2, 1] if newest_first else [1, 2, 3, 4])
        pages = await pages_of(repository, key, 3, uid=uid, newest_first=newest_first)
        assert list(itertools.chain(*pages)) == changes
    assert await listed(repository, key, uid=UUID(int=1), newest_first=newest_first) == []


async def test_a_page_has_no_more_bytes_than_were_asked_for_but_one_change(
    repository: Repository, key: EntityKey
) -> None:
    for number in range(6):
        await repository.update(update(put("f", "x" * (5_000 if number == 3 else 500)), key=key))
    sizes: list[list[int]] = []
    after = None
    while True:
        page = await repository.list_changes(HistoryQuery(key, 100, 1_500, after=after))
        sizes.append([len(change) for change in page.changes])
        after = page.end
        if after is None:
            break
    assert [len(each) for each in sizes] == [2, 1, 2, 1]
    assert all(sum(each) <= 1_500 for each in sizes if len(each) > 1)


@pytest.mark.parametrize("deleted", [False, True], ids=["goes on", "begins anew"])
@both_orders
async def test_what_comes_meanwhile_shifts_no_page(
    repository: Repository, key: EntityKey, newest_first: bool, deleted: bool
) -> None:
    await live(repository, key, 3, late=2)
    before = await listed(repository, key, newest_first=newest_first)
    read: list[AggregateChange] = []
    after = None
    for number in itertools.count():
        page = await repository.list_changes(
            HistoryQuery(key, 2, LARGE, after=after, newest_first=newest_first)
        )
        read += changes_of(page)
        after = page.end
        if after is None:
            break
        if number == 1 and deleted:
            await repository.delete(Deletion(key=key))
        if number < 4:
            await live(repository, key, 1, late=1)
    if newest_first:
        assert read == before
    else:
        assert read == await listed(repository, key, newest_first=False)
        assert read[: len(before)] == before


async def test_of_what_was_erased_a_list_has_the_deletion_alone(
    repository: Repository, key: EntityKey
) -> None:
    await live(repository, key, 3)
    await repository.delete(Deletion(key=key))
    await live(repository, key, 3)
    erased = await repository.delete(Deletion(key=key, erase_history=True, actor="eve"))
    (left,) = await listed(repository, key)
    assert (left.deleted, left.version, left.actor) == (True, erased.version, "eve")
    assert [*left.features, *left.late_features, *left.removed] == []


@both_orders
async def test_what_is_erased_between_two_pages_is_on_no_later_one(
    repository: Repository, key: EntityKey, newest_first: bool
) -> None:
    await live(repository, key, 5)
    first = HistoryQuery(key, 2, LARGE, newest_first=newest_first)
    page = await repository.list_changes(first)
    await repository.delete(Deletion(key=key, erase_history=True))
    rest = await repository.list_changes(first._replace(after=page.end))
    assert rest.end is None
    left: Sequence[AggregateChange] = changes_of(rest)
    assert [each.deleted for each in left] == ([] if newest_first else [True])


async def test_of_what_was_never_written_the_list_is_empty(
    repository: Repository, key: EntityKey
) -> None:
    for newest_first in (True, False):
        assert await listed(repository, key, newest_first=newest_first) == []


async def test_an_erasure_of_what_was_deleted_is_listed_under_the_uid_of_that(
    repository: Repository, key: EntityKey
) -> None:
    """So that a list of that incarnation alone tells of it too."""
    uid = await live(repository, key, 1)
    await repository.delete(Deletion(key=key))
    await repository.delete(Deletion(key=key, erase_history=True))
    (erased,) = await listed(repository, key)
    assert (erased.uid, erased.deleted) == (str(uid), True)
    assert await listed(repository, key, uid=uid) == [erased]
