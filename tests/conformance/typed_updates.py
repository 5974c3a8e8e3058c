"""Entity types and updates of what has one, in few words."""

from typing import Any, TypeAlias

from application.entity_types import Applied, EntityTypes
from domain.entity_key import EntityKey
from domain.entity_type import EntityType, Rule
from domain.errors import RuleViolated
from domain.feature_spec import FeatureSpec
from domain.operations import Append, Increment, Operation, Remove, SetValue
from domain.outcome import UpdateOutcome
from domain.update import FeatureUpdate, Update
from domain.values import FeatureValue, ValueKind
from featom.v1.aggregate_pb2 import FeatureAggregate
from repository.memory import MemoryRepository
from repository.postgres import PostgresRepository

Repository: TypeAlias = MemoryRepository | PostgresRepository
KEY = EntityKey("customer", "c-1")
COUNT = FeatureSpec(kind=ValueKind.INT64)
IN_ORDER = Rule("in_order", "features.low <= features.high", "low is above high")
ORDERED = EntityType(name="customer", features={"low": COUNT, "high": COUNT}, rules=(IN_ORDER,))


class Write:
    """Updates in few words."""

    def __init__(self, fresh_repository: Repository) -> None:
        self._repository = fresh_repository

    async def __call__(self, *, at: int | None = None, **values: Any) -> UpdateOutcome:
        return await self._repository.update(update(at=at, **values))


def update(key: EntityKey = KEY, at: int | None = None, **values: Any) -> Update:
    items = tuple(FeatureUpdate(name, operation(value)) for name, value in values.items())
    return Update(key=key, updates=items, event_time=at)


def operation(value: object) -> Operation:
    if isinstance(value, (SetValue, Increment, Append, Remove)):
        return value
    kinds = {int: ValueKind.INT64, float: ValueKind.DOUBLE, str: ValueKind.STRING}
    return SetValue(FeatureValue(kinds[type(value)], value))


def number(value: int) -> FeatureValue:
    return FeatureValue(ValueKind.INT64, value)


async def apply(
    types: EntityTypes, definition: EntityType, *, accept: bool = False, dry: bool = False
) -> Applied:
    return await types.apply(definition, None, validate_only=dry, accept_existing=accept)


async def read(fresh_repository: Repository, key: EntityKey = KEY) -> FeatureAggregate:
    (found,) = await fresh_repository.read([key])
    assert found is not None
    return FeatureAggregate.FromString(found.state)


def named(error: RuleViolated) -> set[tuple[str, str]]:
    return {(violation.type, violation.subject) for violation in error.violations}
