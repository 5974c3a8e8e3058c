"""Fields that several requests share, and all that is wrong with them, said at once."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeAlias
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp as TimestampMessage

from codec.timestamps import decode_timestamp
from domain.entity_key import EntityKey
from domain.errors import FieldViolation, InvalidValue
from domain.etag import Etag, parse_etag
from domain.timestamp import SECOND, Timestamp
from domain.update import feature_name_problem
from featom.v1 import aggregate_pb2
from featom.v1 import feature_store_pb2 as pb

Identified: TypeAlias = (
    pb.UpdateFeaturesRequest | pb.DeleteAggregateRequest | pb.BatchUpdateFeaturesRequest
)
"""A request with a request id."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Violations(list[FieldViolation]):
    """What was found to be wrong so far."""

    def note(self, field: str, description: str | None) -> None:
        """Keep a problem, if there is one."""
        if description is not None:
            self.append(FieldViolation(field, description))

    def raise_if_any(self) -> None:
        if self:
            raise InvalidValue(self)


def read_key(message: aggregate_pb2.EntityKey) -> EntityKey:
    return EntityKey(message.entity_type, message.entity_id)


def read_etag(token: str, violations: Violations, field: str = "etag") -> Etag | None:
    if not token:
        return None
    try:
        return parse_etag(token)
    except ValueError:
        violations.note(field, "is not an etag of this store")
        return None


def read_request_id(text: str, violations: Violations) -> UUID | None:
    return read_uuid(text, "request_id", violations)


def read_uuid(text: str, field: str, violations: Violations) -> UUID | None:
    """None if there is none, or it is noted that it is none."""
    if not text:
        return None
    if not _UUID.fullmatch(text):
        violations.note(field, "must be a UUID, as 8-4-4-4-12 hexadecimal digits")
        return None
    return UUID(text)


def read_instant(message: TimestampMessage, field: str, violations: Violations) -> Timestamp:
    """A timestamp; whether it lies in the years 1 to 9999 is for the domain to say."""
    if not 0 <= message.nanos < SECOND:
        violations.note(f"{field}.nanos", "must be from 0 to 999,999,999")
        return 0
    return decode_timestamp(message)


def read_feature_names(names: Sequence[str], violations: Violations) -> frozenset[str]:
    counts = Counter(names)
    for index, name in enumerate(names):
        violations.note(f"feature_names[{index}]", feature_name_problem(name))
        if counts[name] > 1:
            violations.note(f"feature_names[{index}]", f"{name} is named more than once")
            counts[name] = 1  # said once, however often it is named
    return frozenset(counts)


def fingerprint(request: Identified) -> bytes:
    """A digest of everything that a request asks for, whatever its request id."""
    request_id = request.request_id
    # For the moment: a copy of a large batch costs more than the digest.
    request.request_id = ""
    encoded = request.SerializeToString(deterministic=True)
    request.request_id = request_id
    name = request.DESCRIPTOR.name.encode()
    return hashlib.blake2b(encoded, digest_size=16, person=name[:16]).digest()
