"""What domain.ports.AggregateReader promises of reads of the present."""

import asyncio

from domain.entity_key import EntityKey
from domain.update import UpdateBatch
from tests.conformance.conftest import Repository
from tests.kit.reading import features, list_all
from tests.kit.samples import add, put, update


async def fill(repository: Repository, entity_type: str, ids: list[str]) -> None:
    await asyncio.gather(
        *(
            repository.update(update(put("id", each), key=EntityKey(entity_type, each)))
            for each in ids
        )
    )


async def pages_of(
    repository: Repository, entity_type: str, limit: int, max_bytes: int
) -> list[list[str]]:
    """The ids on each page."""
    pages: list[list[str]] = []
    after, more = "", True
    while more:
        listed, more = await repository.list_aggregates(entity_type, after, limit, max_bytes)
        pages.append([entity_id for entity_id, _ in listed])
        after = pages[-1][-1]
    return pages


async def test_reads_come_in_the_order_asked_for_with_holes_and_repetitions(
    repository: Repository, entity_type: str
) -> None:
    await fill(repository, entity_type, ["a", "b", "c"])
    asked = ["c", "none", "a", "c", "b", "none", "a"]
    found = await repository.read([EntityKey(entity_type, each) for each in asked])
    assert list(map(features, found)) == [
        None if each == "none" else {"id": each} for each in asked
    ]


async def test_whoever_asks_for_nothing_gets_nothing(repository: Repository) -> None:
    assert await repository.read([]) == []


async def test_a_thousand_keys_are_read_at_once(repository: Repository, entity_type: str) -> None:
    ids = [f"c-{number}" for number in range(0, 1_000, 2)]
    await fill(repository, entity_type, ids)
    keys = [EntityKey(entity_type, f"c-{number}") for number in range(1_000)]
    found = await repository.read(keys)
    assert [features(each) for each in found[::2]] == [{"id": each} for each in ids]
    assert found[1::2] == [None] * 500


async def test_a_read_sees_everything_that_was_acknowledged_before_it(
    repository: Repository, key: EntityKey
) -> None:
    for number in range(1, 30):
        await repository.update(update(put("f", number), key=key))
        assert list(map(features, await repository.read([key]))) == [{"f": number}]


async def test_no_reader_sees_half_of_an_update(repository: Repository, key: EntityKey) -> None:
    names = [f"f{number}" for number in range(20)]

    async def write() -> None:
        for _ in range(50):
            await repository.update(update(*(add(name, 1) for name in names), key=key))

    async def read(writer: "asyncio.Task[None]") -> None:
        while not writer.done():
            (found,) = await repository.read([key])
            if found is not None:
                assert len(set((features(found) or {}).values())) == 1
            await asyncio.sleep(0)

    writer = asyncio.create_task(write())
    await asyncio.gather(writer, *(read(writer) for _ in range(4)))


async def test_a_batch_is_read_in_one_snapshot(repository: Repository, entity_type: str) -> None:
    keys = [EntityKey(entity_type, each) for each in "abc"]

    async def write() -> None:
        for _ in range(50):
            await repository.update_batch(
                UpdateBatch(updates=tuple(update(add("f", 1), key=key) for key in keys))
            )

    async def read(writer: "asyncio.Task[None]") -> None:
        while not writer.done():
            first, *others = map(features, await repository.read(keys))
            assert others == [first, first]
            await asyncio.sleep(0)

    writer = asyncio.create_task(write())
    await asyncio.gather(writer, *(read(writer) for _ in range(4)))


async def test_a_list_is_ordered_by_the_code_points_of_the_ids(
    repository: Repository, entity_type: str
) -> None:
    ids = [" ", "!", "1", "10", "2", "A", "Z", "_", "a", "a b", "ab", "z", "~", "Ä", "ß", "ä"]
    ids += ["Ω", "я", "あ", "中", "\uffff", "😀", "😀a"]
    await fill(repository, entity_type, sorted(ids, key=hash))
    listed = await list_all(repository, entity_type)
    assert [entity_id for entity_id, _ in listed] == ids
    assert [features(stored) for _, stored in listed] == [{"id": each} for each in ids]


async def test_pages_follow_each_other_without_gaps_or_repetitions(
    repository: Repository, entity_type: str
) -> None:
    ids = sorted([f"{number}" for number in range(20)] + ["ä", "😀"])
    await fill(repository, entity_type, ids)
    pages = await pages_of(repository, entity_type, limit=5, max_bytes=1_000_000)
    assert [len(page) for page in pages] == [5, 5, 5, 5, 2]
    assert [each for page in pages for each in page] == ids


async def test_a_page_that_ends_with_the_last_aggregate_is_the_last(
    repository: Repository, entity_type: str
) -> None:
    await fill(repository, entity_type, ["a", "b"])
    assert await pages_of(repository, entity_type, limit=2, max_bytes=1_000_000) == [["a", "b"]]


async def test_a_page_holds_so_many_bytes_at_most_but_one_aggregate_at_least(
    repository: Repository, entity_type: str
) -> None:
    sizes = {"a": 30_000, "b": 40_000, "c": 30_000, "d": 200_000, "e": 90_000, "f": 5, "g": 5}
    for entity_id, size in sizes.items():
        item = put("f", b"x" * size)
        await repository.update(update(item, key=EntityKey(entity_type, entity_id)))
    pages = await pages_of(repository, entity_type, limit=3, max_bytes=100_000)
    assert pages == [["a", "b"], ["c"], ["d"], ["e", "f", "g"]]
    listed, _ = await repository.list_aggregates(entity_type, "", 2, 100_000)
    exactly = sum(len(stored.state) for _, stored in listed)
    for max_bytes, count in ((exactly, 2), (exactly - 1, 1), (0, 1)):
        listed, more = await repository.list_aggregates(entity_type, "", 2, max_bytes)
        assert (len(listed), more) == (count, True)


async def test_a_page_goes_on_where_an_id_was_although_it_is_gone(
    repository: Repository, entity_type: str
) -> None:
    await fill(repository, entity_type, ["a", "c"])
    listed, more = await repository.list_aggregates(entity_type, "b", 10, 1_000_000)
    assert ([entity_id for entity_id, _ in listed], more) == (["c"], False)


async def test_a_list_holds_one_entity_type_only(repository: Repository, entity_type: str) -> None:
    await fill(repository, entity_type, ["a"])
    await fill(repository, f"{entity_type}x", ["b"])
    assert len(await list_all(repository, entity_type)) == 1
    assert await list_all(repository, f"{entity_type}y") == []


async def test_what_is_listed_is_what_is_read(repository: Repository, key: EntityKey) -> None:
    await repository.update(update(put("f", 1), key=key))
    ((_, listed),) = await list_all(repository, key.entity_type)
    assert await repository.read([key]) == [listed]
