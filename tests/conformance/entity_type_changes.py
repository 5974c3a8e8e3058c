"""What a change of an entity type means to every repository: revisions, what is stored, and lists.

A module that takes all of this over and has a fixture `fresh_repository` runs it.
"""

import pytest
from msgspec.structs import replace

from application.entity_types import EntityTypes
from domain.entity_key import EntityKey
from domain.entity_type import EntityType
from domain.errors import (
    EntityTypeInUse,
    EntityTypeNotFound,
    IncompatibleChange,
    RuleViolated,
    StaleEtag,
)
from domain.feature_spec import FeatureSpec
from domain.update import Deletion
from domain.values import ValueKind
from tests.conformance.typed_updates import (
    COUNT,
    IN_ORDER,
    ORDERED,
    Repository,
    Write,
    apply,
    number,
    read,
    update,
)


async def test_a_new_definition_counts_from_the_next_update(
    types: EntityTypes, write: Write
) -> None:
    await write(low=1, high=2)
    applied = await apply(types, ORDERED)
    assert (applied.entity_type.revision, applied.violating) == (1, 0)
    with pytest.raises(RuleViolated):
        await write(high=0)


async def test_a_change_that_stored_aggregates_break_is_refused(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    await write(low=2, high=1)
    with pytest.raises(IncompatibleChange) as refused:
        await apply(types, ORDERED)
    assert refused.value.violating == 1
    assert f"would break the entity type, {IN_ORDER.name} in 1." in str(refused.value)
    assert "`featom apply --accept-existing`" in str(refused.value)
    assert (await fresh_repository.entity_types.current("customer")).definition is None


async def test_a_change_accepted_all_the_same_is_checked_on_the_next_write(
    types: EntityTypes, write: Write
) -> None:
    await write(low=2, high=1)
    applied = await apply(types, ORDERED, accept=True)
    assert applied.violating == 1
    with pytest.raises(RuleViolated):
        await write(other=1)
    await write(high=2, other=1)


async def test_stored_aggregates_are_judged_with_the_defaults_that_they_lack(
    types: EntityTypes, write: Write
) -> None:
    await write(name="Ada")
    defaults = {
        name: replace(COUNT, default_value=number(n)) for n, name in enumerate(ORDERED.features)
    }
    assert (await apply(types, replace(ORDERED, features=defaults))).violating == 0
    await write(name="Bob")


async def test_a_default_that_breaks_a_rule_counts_against_what_lacks_it(
    types: EntityTypes, write: Write
) -> None:
    await write(high=0)
    low = replace(COUNT, default_value=number(1))
    with pytest.raises(IncompatibleChange):
        await apply(types, replace(ORDERED, features={"low": low, "high": COUNT}))


async def test_a_rehearsal_counts_and_changes_nothing(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    await write(low=2, high=1)
    assert (await apply(types, ORDERED, dry=True)).violating == 1
    assert (await fresh_repository.entity_types.current("customer")).definition is None


async def test_applying_the_same_again_makes_no_revision(types: EntityTypes) -> None:
    await apply(types, ORDERED)
    again = await apply(types, ORDERED)
    assert (again.entity_type.revision, again.differences) == (1, ())


async def test_a_check_ends_its_page_where_much_is_broken_and_goes_on_behind_it(
    fresh_repository: Repository, types: EntityTypes
) -> None:
    names = [f"f{n:03}" for n in range(900)]
    for each in range(4):
        key = EntityKey("customer", f"c-{each}")
        await fresh_repository.update(update(key, **dict.fromkeys(names, 1)))
    none = EntityType(
        name="customer", features={name: replace(COUNT, maximum=number(0)) for name in names}
    )
    first = await types.check(none, "", 100)
    assert (first.checked, first.last_id) == (3, "c-2")
    rest = await types.check(none, first.last_id, 100)
    assert (rest.checked, rest.last_id) == (1, "")
    assert (await apply(types, none, dry=True)).violating == 4


async def test_a_stale_revision_is_refused(types: EntityTypes) -> None:
    await apply(types, ORDERED)
    with pytest.raises(StaleEtag):
        await types.apply(replace(ORDERED, rules=()), 7, validate_only=False, accept_existing=False)


async def test_old_revisions_stay_readable(
    fresh_repository: Repository, types: EntityTypes
) -> None:
    await apply(types, ORDERED)
    await apply(types, replace(ORDERED, rules=()))
    first = await fresh_repository.entity_types.revision("customer", 1)
    assert first is not None
    assert first.rules == (IN_ORDER,)


async def test_a_type_in_use_is_deleted_only_by_force(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    with pytest.raises(EntityTypeNotFound):
        await types.delete("customer", None, force=False)
    await apply(types, ORDERED)
    await write(low=1, high=2)
    with pytest.raises(EntityTypeInUse):
        await types.delete("customer", None, force=False)
    await types.delete("customer", None, force=True)
    await write(low=3)
    assert (await read(fresh_repository)).entity_type_revision == 0
    applied = await apply(types, ORDERED, accept=True)
    assert applied.entity_type.revision == 3


async def test_what_was_written_after_a_mark_is_known(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    store = fresh_repository.entity_types
    keys = [EntityKey("customer", f"c-{each}") for each in range(4)]
    for key in keys:
        await fresh_repository.update(update(key, low=1))
    mark = await store.mark()
    await fresh_repository.update(update(keys[1], low=2))
    await fresh_repository.update(update(keys[2], low=2))
    await fresh_repository.delete(Deletion(key=keys[2]))
    await fresh_repository.update(update(EntityKey("customer", "new"), low=2))
    await fresh_repository.update(update(EntityKey("card", "k-1"), low=2))
    written = [each async for page in store.written_since("customer", mark) for each in page]
    assert {each.entity_id for each in written} == {"c-1", "new"}
    assert all(each.features["low"].value == number(2) for each in written)


async def test_types_are_listed_by_name(fresh_repository: Repository, types: EntityTypes) -> None:
    for name in ("b", "a", "c"):
        await apply(types, EntityType(name=name))
    await types.delete("b", None, force=False)
    listed, more = await fresh_repository.entity_types.list_types("", 10, 1_000_000)
    assert [definition.name for definition in listed] == ["a", "c"]
    assert not more


async def test_a_page_of_types_ends_before_it_has_too_many_or_too_many_bytes(
    fresh_repository: Repository, types: EntityTypes
) -> None:
    long = FeatureSpec(kind=ValueKind.STRING, description="x" * 500)
    for name in "abcd":
        await apply(types, EntityType(name=name, features={"long": long}))

    async def page(after: str, limit: int, max_bytes: int) -> tuple[str, bool]:
        listed, more = await fresh_repository.entity_types.list_types(after, limit, max_bytes)
        return "".join(definition.name for definition in listed), more

    assert await page("", 10, 1_500) == ("ab", True)
    assert await page("b", 10, 1_500) == ("cd", False)
    assert await page("", 3, 10_000) == ("abc", True)
    assert await page("", 10, 1) == ("a", True)
    assert await page("c", 1, 1) == ("d", False)
    assert await page("d", 1, 1) == ("", False)
