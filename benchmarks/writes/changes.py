"""What an update changes: 5 of the 50 features, always by values that were not there before.

They have no event time, so it is the commit time, and none of them is ever late or equal.
"""

import random
from typing import Final

from benchmarks import dataset
from domain.entity_key import EntityKey
from domain.operations import SetValue
from domain.update import FeatureUpdate, Update
from domain.values import FeatureValue, ValueKind
from featom.v1 import feature_store_pb2, value_pb2

COUNTS: Final = tuple(dataset.COUNTS[:2])
AMOUNTS: Final = tuple(dataset.AMOUNTS[:2])
TEXT: Final = dataset.TEXTS[0]
CHANGED: Final = frozenset({*COUNTS, *AMOUNTS, TEXT})


def counts() -> int:
    """A number that takes three bytes in a message, whatever it is."""
    return random.randrange(2**14, 2**21)


def amount() -> float:
    """A number that stays one if its bytes are mixed with those of another."""
    return random.uniform(0.5, 1)


def message(
    index: int, entity_type: str = dataset.ENTITY_TYPE
) -> feature_store_pb2.UpdateFeaturesRequest:
    """The request to update the aggregate with this index. All are of one length."""
    request = feature_store_pb2.UpdateFeaturesRequest(key=dataset.key(index, entity_type))
    for name in COUNTS:
        request.updates.add(name=name, set=value_pb2.FeatureValue(int64_value=counts()))
    for name in AMOUNTS:
        request.updates.add(name=name, set=value_pb2.FeatureValue(double_value=amount()))
    word = dataset.word(random.Random())
    request.updates.add(name=TEXT, set=value_pb2.FeatureValue(string_value=word))
    return request


def feature_updates() -> tuple[FeatureUpdate, ...]:
    """The same as the domain has it."""
    return (
        *(_set(name, ValueKind.INT64, counts()) for name in COUNTS),
        *(_set(name, ValueKind.DOUBLE, amount()) for name in AMOUNTS),
        _set(TEXT, ValueKind.STRING, dataset.word(random.Random())),
    )


def update(index: int, updates: tuple[FeatureUpdate, ...]) -> Update:
    """An update of the aggregate with this index."""
    return Update(key=EntityKey(dataset.ENTITY_TYPE, f"c{index:07}"), updates=updates)


def _set(name: str, kind: ValueKind, content: object) -> FeatureUpdate:
    return FeatureUpdate(name, SetValue(FeatureValue(kind, content)))
