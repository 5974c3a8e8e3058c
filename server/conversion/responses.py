"""Responses, as bytes.

An aggregate is stored as it is served, so a read copies bytes: the stored message with its etag
appended, inside the frame of the response. A field appended to a serialized message is that
message with the field set (protobuf encoding: "last one wins").
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

from google.rpc.status_pb2 import Status

from domain.entity_key import EntityKey
from domain.etag import ETAG_LENGTH, etag_token, etag_tokens
from domain.outcome import BatchOutcome, DeletionOutcome, UpdateOutcome
from domain.ports import ListedAggregate, StoredAggregate
from featom.v1 import aggregate_pb2
from featom.v1 import feature_store_pb2 as pb
from repository.codec.instants import encode_instant
from repository.codec.outcome import encode_update_outcome

_LENGTH_DELIMITED: Final = 2


def _tag(message: type, field: str) -> bytes:
    """The tag of a message or string field, as it stands before its length."""
    number = message.DESCRIPTOR.fields_by_name[field].number  # type: ignore[attr-defined]
    return bytes([number << 3 | _LENGTH_DELIMITED])


_ETAG: Final = _tag(aggregate_pb2.FeatureAggregate, "etag") + bytes([ETAG_LENGTH])
_ETAG_SIZE: Final = len(_ETAG) + ETAG_LENGTH
_GET_AGGREGATE: Final = _tag(pb.GetAggregateResponse, "aggregate")
_UPDATE_AGGREGATE: Final = _tag(pb.UpdateFeaturesResponse, "aggregate")
_BATCH_RESPONSES: Final = _tag(pb.BatchUpdateFeaturesResponse, "responses")
_STREAM_RESPONSE: Final = _tag(pb.StreamUpdateFeaturesResponse, "response")
_STREAM_ERROR: Final = _tag(pb.StreamUpdateFeaturesResponse, "error")
_LIST_AGGREGATES: Final = _tag(pb.ListAggregatesResponse, "aggregates")
_LIST_TOKEN: Final = _tag(pb.ListAggregatesResponse, "next_page_token")
_BATCH_RESULTS: Final = _tag(pb.BatchGetAggregatesResponse, "results")
_RESULT_AGGREGATE: Final = _tag(pb.BatchGetAggregatesResult, "aggregate")
_RESULT_MISSING: Final = _tag(pb.BatchGetAggregatesResult, "missing_key")


def get_response(found: StoredAggregate, names: Collection[str], *, past: bool) -> bytes:
    state = _chosen(found.state, names)
    # The past has no etag: nothing could be written on condition of it.
    if past:
        return b"".join((_GET_AGGREGATE, varint(len(state)), state))
    size = varint(len(state) + _ETAG_SIZE)
    return b"".join((_GET_AGGREGATE, size, state, _ETAG, etag_token(*found[:3])))


def batch_get_response(
    keys: Sequence[EntityKey], found: Sequence[StoredAggregate | None], names: Collection[str]
) -> bytes:
    etags = iter(etag_tokens([stored[:3] for stored in found if stored is not None]))
    parts: list[bytes] = []
    for key, stored in zip(keys, found, strict=True):
        if stored is None:
            parts.append(_missing_result(key))
        else:
            state = _chosen(stored.state, names)
            parts += (_result_head(len(state) + _ETAG_SIZE), state, _ETAG, next(etags))
    return b"".join(parts)


# Most aggregates of a type are of a few sizes.
@lru_cache(maxsize=16_384)
def _result_head(size: int) -> bytes:
    """What stands before an aggregate of a size in the response to a batch of reads."""
    head = _RESULT_AGGREGATE + varint(size)
    return _BATCH_RESULTS + varint(len(head) + size) + head


def _missing_result(key: EntityKey) -> bytes:
    encoded = aggregate_pb2.EntityKey(entity_type=key[0], entity_id=key[1]).SerializeToString()
    result = _RESULT_MISSING + varint(len(encoded)) + encoded
    return _BATCH_RESULTS + varint(len(result)) + result


def list_response(listed: Sequence[ListedAggregate], next_page_token: str) -> bytes:
    parts: list[bytes] = []
    for _, stored in listed:
        size = varint(len(stored.state) + _ETAG_SIZE)
        parts += (_LIST_AGGREGATES, size, stored.state, _ETAG, etag_token(*stored[:3]))
    if next_page_token:
        token = next_page_token.encode()
        parts += (_LIST_TOKEN, varint(len(token)), token)
    return b"".join(parts)


def update_response(outcome: UpdateOutcome) -> bytes:
    response = pb.UpdateFeaturesResponse()
    encode_update_outcome(outcome, response)
    encoded = response.SerializeToString()
    if outcome.state is None:
        return encoded
    served = outcome.state + _ETAG + str(outcome.state_etag).encode()
    return b"".join((encoded, _UPDATE_AGGREGATE, varint(len(served)), served))


def batch_update_response(outcome: BatchOutcome) -> bytes:
    parts: list[bytes] = []
    for each in outcome.outcomes:
        encoded = update_response(each)
        parts += (_BATCH_RESPONSES, varint(len(encoded)), encoded)
    return b"".join(parts)


def stream_response(sequence: int, outcome: UpdateOutcome) -> bytes:
    """The answer to one update of a stream."""
    head = pb.StreamUpdateFeaturesResponse(sequence=sequence).SerializeToString()
    encoded = update_response(outcome)
    return b"".join((head, _STREAM_RESPONSE, varint(len(encoded)), encoded))


def stream_error(sequence: int, status: Status) -> bytes:
    """The answer to one update of a stream that failed."""
    head = pb.StreamUpdateFeaturesResponse(sequence=sequence).SerializeToString()
    encoded = status.SerializeToString()
    return b"".join((head, _STREAM_ERROR, varint(len(encoded)), encoded))


def delete_response(outcome: DeletionOutcome) -> bytes:
    response = pb.DeleteAggregateResponse(version=outcome.version, replayed=outcome.replayed)
    encode_instant(outcome.delete_time, response.delete_time)
    return response.SerializeToString()


def varint(number: int) -> bytes:
    """A number as protobuf writes lengths: seven bits a byte, the lowest first."""
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _chosen(state: bytes, names: Collection[str]) -> bytes:
    """The stored aggregate with only the features of these names; all of them if there are none."""
    if not names:
        return state
    message = aggregate_pb2.FeatureAggregate.FromString(state)
    for name in [name for name in message.features if name not in names]:
        del message.features[name]
    expired = [name for name in message.expired_features if name in names]
    message.expired_features[:] = expired
    return message.SerializeToString()
