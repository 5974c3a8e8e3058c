"""What every repository enforces of an entity type.

A module that takes all of this over and has a fixture `fresh_repository` runs it.
"""

import math

import pytest
from msgspec.structs import replace

from application.entity_types import EntityTypes
from domain.entity_key import EntityKey
from domain.entity_type import AdditionalFeatures, EntityType, Rule
from domain.errors import InvalidValue, LateValue, RuleViolated
from domain.feature_spec import FeatureSpec, LatePolicy
from domain.operations import Append, Increment, Remove, SetValue
from domain.ports import AtEventTime, AtVersion
from domain.timestamp import SECOND
from domain.update import Deletion, FeatureUpdate, UpdateBatch
from domain.values import ValueKind
from featom.v1.aggregate_pb2 import FeatureAggregate
from tests.conformance.typed_updates import (
    COUNT,
    IN_ORDER,
    KEY,
    ORDERED,
    Repository,
    Write,
    apply,
    named,
    number,
    read,
    update,
)
from tests.kit.reading import list_all


async def test_without_an_entity_type_nothing_is_checked(
    fresh_repository: Repository, write: Write
) -> None:
    await write(low=2, high=1)
    assert (await read(fresh_repository)).entity_type_revision == 0


async def test_an_update_that_breaks_a_rule_leaves_nothing(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    await apply(types, ORDERED)
    await write(low=1, high=2)
    with pytest.raises(RuleViolated, match="low is above high"):
        await write(low=3)
    assert (await read(fresh_repository)).version == 1


async def test_an_aggregate_says_which_revision_it_was_checked_against(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    await apply(types, ORDERED)
    await write(low=1, high=2)
    assert (await read(fresh_repository)).entity_type_revision == 1
    await apply(types, replace(ORDERED, rules=()))
    await write(low=3)
    assert (await read(fresh_repository)).entity_type_revision == 2
    past = await fresh_repository.read_as_of(KEY, AtVersion(1))
    assert past is not None
    assert FeatureAggregate.FromString(past.state).entity_type_revision == 1


async def test_every_violation_is_named(types: EntityTypes, write: Write) -> None:
    definition = EntityType(
        name="customer",
        features={
            "low": FeatureSpec(kind=ValueKind.INT64, minimum=number(0)),
            "high": FeatureSpec(kind=ValueKind.INT64, maximum=number(9)),
            "state": FeatureSpec(kind=ValueKind.STRING, pattern="[A-Z]+", max_length=2),
            "name": FeatureSpec(kind=ValueKind.STRING, required=True),
        },
        rules=(IN_ORDER, Rule("even", "features.low % 2 == 0", "low is odd")),
        additional_features=AdditionalFeatures.REJECT,
    )
    await apply(types, definition)
    with pytest.raises(RuleViolated) as refused:
        await write(low=-1, high=-10, state="abc", other=1)
    assert named(refused.value) == {
        ("RANGE", "low"),
        ("PATTERN", "state"),
        ("MAX_LENGTH", "state"),
        ("REQUIRED", "name"),
        ("ADDITIONAL_FEATURE", "other"),
        ("RULE", "in_order"),
        ("RULE", "even"),
    }


async def test_a_batch_is_refused_as_a_whole(
    fresh_repository: Repository, types: EntityTypes
) -> None:
    await apply(types, ORDERED)
    other = EntityKey("customer", "c-2")
    batch = UpdateBatch(updates=(update(low=1, high=2), update(other, low=2, high=1)))
    with pytest.raises(RuleViolated):
        await fresh_repository.update_batch(batch)
    assert list(await fresh_repository.read([KEY, other])) == [None, None]


async def test_a_batch_names_what_is_broken_or_late_in_any_of_its_updates(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    refusing = FeatureSpec(kind=ValueKind.INT64, late_policy=LatePolicy.REJECT)
    await apply(types, replace(ORDERED, features={"low": refusing, "high": refusing}))
    other = EntityKey("customer", "c-2")
    for key in (KEY, other):
        await fresh_repository.update(update(key, at=20, low=1, high=2))
    late = update(at=10, low=0, high=3)
    with pytest.raises(LateValue) as refused:
        await fresh_repository.update_batch(UpdateBatch(updates=(late, replace(late, key=other))))
    assert refused.value.features == (
        "updates[0].low",
        "updates[0].high",
        "updates[1].low",
        "updates[1].high",
    )
    broken = UpdateBatch(updates=(late, update(other, at=30, low=9)))
    with pytest.raises(RuleViolated) as broken_and_late:
        await fresh_repository.update_batch(broken)
    assert named(broken_and_late.value) == {
        ("LATE_VALUE", "updates[0].low"),
        ("LATE_VALUE", "updates[0].high"),
        ("RULE", "updates[1].in_order"),
    }
    assert [(await read(fresh_repository, key)).version for key in (KEY, other)] == [1, 1]


async def test_a_missing_feature_gets_its_default_in_the_same_version(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    count = FeatureSpec(kind=ValueKind.INT64, default_value=number(5), required=True)
    await apply(types, EntityType(name="customer", features={"count": count}))
    await write(name="Ada")
    assert (await read(fresh_repository)).features["count"].value.int64_value == 5
    await write(count=Increment(number(2)))
    assert (await read(fresh_repository)).features["count"].value.int64_value == 7
    await write(count=Remove())
    aggregate = await read(fresh_repository)
    assert (aggregate.version, aggregate.features["count"].value.int64_value) == (3, 5)


async def test_a_required_feature_is_not_removed(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    name = FeatureSpec(kind=ValueKind.STRING, required=True)
    await apply(types, EntityType(name="customer", features={"name": name}))
    await write(name="Ada")
    with pytest.raises(RuleViolated) as refused:
        await write(name=Remove())
    assert named(refused.value) == {("REQUIRED", "name")}
    assert (await read(fresh_repository)).version == 1


async def test_an_operation_on_a_missing_feature_begins_with_its_default(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    count = FeatureSpec(kind=ValueKind.INT64, default_value=number(5))
    await apply(types, EntityType(name="customer", features={"count": count}))
    await write(count=Increment(number(2)))
    assert (await read(fresh_repository)).features["count"].value.int64_value == 7


async def test_as_of_event_times_the_first_event_begins_with_the_default(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    """The first one by its event time: it may have come last."""
    count = FeatureSpec(kind=ValueKind.INT64, default_value=number(5))
    await apply(types, EntityType(name="customer", features={"count": count}))
    await write(at=30, count=Increment(number(2)))
    await write(at=10, count=Increment(number(1)))
    await write(at=20, count=Increment(number(3)))
    expected = {9: None, 10: 6, 20: 9, 30: 11}
    assert {time: await count_at(fresh_repository, time) for time in expected} == expected


async def test_as_of_event_times_a_removed_feature_has_its_default_from_the_removal_on(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    count = FeatureSpec(kind=ValueKind.INT64, default_value=number(5), required=True)
    await apply(types, EntityType(name="customer", features={"count": count}))
    await write(at=10, count=7)
    await write(at=30, count=Remove())
    await write(at=20, count=Increment(number(1)))
    expected = {10: 7, 20: 8, 29: 8, 30: 5}
    assert {time: await count_at(fresh_repository, time) for time in expected} == expected


async def test_as_of_event_times_what_found_its_feature_expired_begins_anew(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    brief = FeatureSpec(kind=ValueKind.INT64, ttl=3_600 * SECOND)
    now = await fresh_repository.entity_types.now()
    await apply(types, EntityType(name="customer", features={"count": brief}))
    await write(at=now - 7_200 * SECOND, count=9)
    await write(at=now - 600 * SECOND, count=Increment(number(1)))
    await write(at=now - 300 * SECOND, count=Increment(number(1)))
    expected = {now - 7_200 * SECOND: 9, now - 600 * SECOND: 1, now: 2}
    assert {time: await count_at(fresh_repository, time) for time in expected} == expected


async def count_at(fresh_repository: Repository, event_time: int) -> int | None:
    past = await fresh_repository.read_as_of(KEY, AtEventTime(event_time))
    if past is None:
        return None
    features = FeatureAggregate.FromString(past.state).features
    return features["count"].value.int64_value if "count" in features else None


async def test_an_expired_feature_is_left_out_and_named(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    brief = FeatureSpec(kind=ValueKind.INT64, ttl=3_600 * SECOND)
    now = await fresh_repository.entity_types.now()
    await apply(types, EntityType(name="customer", features={"count": brief}))
    await write(at=now - 7_200 * SECOND, count=9)
    await write(name="Ada")
    aggregate = await read(fresh_repository)
    assert (list(aggregate.features), list(aggregate.expired_features)) == (["name"], ["count"])
    (listed,) = await list_all(fresh_repository, "customer")
    assert FeatureAggregate.FromString(listed.aggregate.state) == aggregate
    outcome = await fresh_repository.update(replace(update(name="Bob"), return_aggregate=True))
    assert list(FeatureAggregate.FromString(outcome.state or b"").expired_features) == ["count"]
    past = await fresh_repository.read_as_of(KEY, AtVersion(1))
    assert past is not None
    assert list(FeatureAggregate.FromString(past.state).expired_features) == ["count"]


async def test_an_increment_of_an_expired_feature_begins_anew(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    brief = FeatureSpec(kind=ValueKind.INT64, ttl=3_600 * SECOND)
    now = await fresh_repository.entity_types.now()
    await apply(types, EntityType(name="customer", features={"count": brief}))
    await write(at=now - 7_200 * SECOND, count=9)
    await write(count=Increment(number(1)))
    assert (await read(fresh_repository)).features["count"].value.int64_value == 1


@pytest.mark.parametrize("policy", LatePolicy)
async def test_a_late_value_is_kept_applied_or_refused(
    fresh_repository: Repository, types: EntityTypes, write: Write, policy: LatePolicy
) -> None:
    spec = FeatureSpec(kind=ValueKind.INT64, late_policy=policy)
    await apply(types, EntityType(name="customer", features={"count": spec}))
    await write(at=20, count=2)
    if policy is LatePolicy.REJECT:
        with pytest.raises(LateValue):
            await write(at=10, count=1)
    else:
        await write(at=10, count=1)
    expected = 1 if policy is LatePolicy.APPLY else 2
    assert (await read(fresh_repository)).features["count"].value.int64_value == expected


async def test_an_element_that_comes_too_late_to_be_appended_is_judged_as_one(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    few = FeatureSpec(kind=ValueKind.INT64_LIST, maximum=number(9))
    await apply(types, EntityType(name="customer", features={"few": few}))
    await write(at=20, few=Append(number(1), 0))
    await write(at=10, few=Append(number(9), 0))
    assert list((await read(fresh_repository)).features["few"].value.int64_list.values) == [1]
    with pytest.raises(RuleViolated) as refused:
        await write(at=10, few=Append(number(10), 0))
    assert named(refused.value) == {("RANGE", "few")}


async def test_what_is_late_is_named_with_what_is_broken(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    refusing = FeatureSpec(kind=ValueKind.INT64, late_policy=LatePolicy.REJECT)
    await apply(types, replace(ORDERED, features={"low": COUNT, "high": COUNT, "at": refusing}))
    await write(at=20, low=1, high=2)
    await fresh_repository.update(replace(update(at=None), updates=(at_time(20),)))
    both = replace(update(low=3), updates=(*update(low=3).updates, at_time(10)))
    with pytest.raises(RuleViolated) as refused:
        await fresh_repository.update(both)
    assert named(refused.value) == {("RULE", "in_order"), ("LATE_VALUE", "at")}


def at_time(event_time: int) -> FeatureUpdate:
    return FeatureUpdate("at", SetValue(number(event_time)), event_time)


async def test_a_value_of_another_kind_than_declared_is_not_valid(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    await apply(types, ORDERED)
    with pytest.raises(InvalidValue) as refused:
        await write(low=1.5, high="x", other=1)
    assert [field for field, _ in refused.value.violations] == ["updates[0].set", "updates[1].set"]
    assert list(await fresh_repository.read([KEY])) == [None]


async def test_a_number_that_is_not_finite_is_taken_where_it_is_allowed(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    finite = FeatureSpec(kind=ValueKind.DOUBLE)
    features = {"finite": finite, "any": replace(finite, allow_non_finite=True)}
    await apply(types, EntityType(name="customer", features=features))
    with pytest.raises(InvalidValue, match=r"updates\[1\]\.set: finite must be finite, is nan"):
        await write(any=math.nan, finite=math.nan)
    await write(any=math.inf, finite=1.0)
    assert (await read(fresh_repository)).features["any"].value.double_value == math.inf


async def test_an_entity_begun_anew_is_checked_too(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    await apply(types, ORDERED)
    await write(low=1, high=2)
    await fresh_repository.delete(Deletion(key=KEY))
    with pytest.raises(RuleViolated):
        await write(low=1, high=0)


async def test_a_declared_type_may_change(
    fresh_repository: Repository, types: EntityTypes, write: Write
) -> None:
    await write(count=1)
    double = EntityType(name="customer", features={"count": FeatureSpec(kind=ValueKind.DOUBLE)})
    await apply(types, double, accept=True)
    with pytest.raises(RuleViolated) as refused:
        await write(other=1)
    assert named(refused.value) == {("TYPE", "count")}
    await write(count=1.5)
    assert (await read(fresh_repository)).features["count"].value.double_value == 1.5
