"""An entity type whose bounds change, and updates of it."""

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import pytest

from application.entity_types import EntityTypes
from domain.entity_key import EntityKey
from domain.entity_type import EntityType, Rule
from domain.feature_spec import FeatureSpec
from domain.limits import Limits
from domain.operations import SetValue
from domain.update import FeatureUpdate, Update
from domain.values import FeatureValue, ValueKind
from repository.postgres import PostgresOptions, PostgresRepository

KEY: Final = EntityKey("customer", "c-1")


class Bounds(NamedTuple):
    """A definition in plain numbers, judged here without any code of the server."""

    low: int
    high: int
    gap: int

    @property
    def definition(self) -> EntityType:
        bounded = FeatureSpec(
            kind=ValueKind.INT64, minimum=number(self.low), maximum=number(self.high)
        )
        near = Rule("near", f"features.a - features.b <= {self.gap}", "a is too far above b")
        return EntityType(name="customer", features={"a": bounded, "b": bounded}, rules=(near,))

    def broken(self, a: int, b: int) -> frozenset[str]:
        names = {name for name, x in (("a", a), ("b", b)) if not self.low <= x <= self.high}
        return frozenset(names | ({"near"} if a - b > self.gap else set()))


def number(content: int) -> FeatureValue:
    return FeatureValue(ValueKind.INT64, content)


def update(key: EntityKey = KEY, **values: int) -> Update:
    items = (FeatureUpdate(name, SetValue(number(value))) for name, value in values.items())
    return Update(key=key, updates=tuple(items), return_aggregate=True)


@pytest.fixture
async def servers(database: str) -> AsyncIterator[list[PostgresRepository]]:
    opened = [PostgresRepository(database, PostgresOptions(lanes=2)) for _ in range(2)]
    for server in opened:
        await server.open()
    yield opened
    for server in opened:
        await server.close()


async def apply(server: PostgresRepository, bounds: Bounds, *, accept: bool = True) -> int:
    types = EntityTypes(server.entity_types, server.compiler, Limits())
    applied = await types.apply(
        bounds.definition, None, validate_only=False, accept_existing=accept
    )
    return applied.entity_type.revision


WIDE: Final = Bounds(0, 100, 100)
NARROW: Final = Bounds(0, 10, 100)
