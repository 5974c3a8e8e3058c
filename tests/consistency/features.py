"""Features as plain values, so that two of them can be compared."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from featom.v1.aggregate_pb2 import Feature
from featom.v1.value_pb2 import FeatureValue

Content: TypeAlias = int | str | tuple[str, ...]


class Fact(NamedTuple):
    """One feature of one version."""

    kind: str
    """The field of featom.v1.FeatureValue; empty if there is no value."""
    value: Content | None
    event_time: int
    version: int


Facts: TypeAlias = dict[str, Fact]


def facts_of(features: Mapping[str, Feature]) -> Facts:
    """The features of a message."""
    return {name: _fact(features[name]) for name in features}


def digest(facts: Facts) -> str:
    """The same for equal features, and only for them."""
    encoded = json.dumps(facts, sort_keys=True).encode()
    return hashlib.blake2b(encoded, digest_size=12).hexdigest()


def nanoseconds(time: Timestamp) -> int:
    return time.seconds * 1_000_000_000 + time.nanos


def _fact(feature: Feature) -> Fact:
    kind, value = _content(feature.value)
    return Fact(kind, value, nanoseconds(feature.event_time), feature.version)


def _content(value: FeatureValue) -> tuple[str, Content | None]:
    kind = value.WhichOneof("kind")
    if kind is None:
        return "", None
    content: Any = getattr(value, kind)
    return kind, tuple(content.values) if kind.endswith("_list") else content
