"""Features in their stored form: serialized featom.v1.Features."""

from collections.abc import Iterator, MutableMapping
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError

from codec.timestamps import decode_timestamp, encode_timestamp
from codec.values import decode_value, encode_value
from domain.errors import Corrupted
from domain.feature import Feature
from domain.timestamp import Timestamp
from featom.stored.v1 import stored_pb2
from featom.v1 import aggregate_pb2


class StoredFeatures(MutableMapping[str, Feature]):
    """The features of a stored aggregate: each decoded when it is asked for, encoded when set.

    To make a domain object of every feature costs ten times as much as to update a few of them.
    """

    __slots__ = ("_decoded", "encoded", "message")

    def __init__(self, message: stored_pb2.StoredAggregate) -> None:
        self.message = message
        self.encoded = message.features
        # Of a hot aggregate, many updates of a batch ask for the same few.
        self._decoded: dict[str, Feature] = {}

    def get(self, name: str, default: Any = None) -> Any:
        known = self._decoded.get(name)
        if known is not None:
            return known
        # A message map makes what is asked for by index, so ask it by get.
        found = self.encoded.get(name)
        if found is None:
            return default
        feature = self._decoded[name] = decode_feature(found)
        return feature

    def __getitem__(self, name: str) -> Feature:
        found: Feature | None = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.encoded

    def __setitem__(self, name: str, feature: Feature) -> None:
        self.encoded[name] = encode_feature(feature)
        self._decoded[name] = feature

    def __delitem__(self, name: str) -> None:
        del self.encoded[name]
        self._decoded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.encoded)

    def __len__(self) -> int:
        return len(self.encoded)

    def __copy__(self) -> "StoredFeatures":
        twin = stored_pb2.StoredAggregate()
        twin.CopyFrom(self.message)
        return StoredFeatures(twin)


def encode_feature(feature: Feature) -> bytes:
    stamp = _encode_stamp(feature.event_time, feature.version)
    if feature.value is None:
        return stamp
    message = aggregate_pb2.Feature()
    encode_value(feature.value, message.value)
    return message.SerializeToString() + stamp


def decode_feature(encoded: bytes) -> Feature:
    """Read a feature that has a value. Raises Corrupted."""
    try:
        message = aggregate_pb2.Feature.FromString(encoded)
    except DecodeError as error:
        raise Corrupted("A stored feature cannot be read.") from error
    return Feature(
        decode_value(message.value), decode_timestamp(message.event_time), message.version
    )


# Mostly, all features that an update sets have the same.
@lru_cache(maxsize=256)
def _encode_stamp(event_time: Timestamp, version: int) -> bytes:
    message = aggregate_pb2.Feature(version=version)
    encode_timestamp(event_time, message.event_time)
    return message.SerializeToString()
