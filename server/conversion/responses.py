"""Responses, as bytes.

An aggregate is stored as it is served, so a read copies bytes: the stored message with its etag
appended, inside the frame of the response. A field appended to a serialized message is that
message with the field set (protobuf encoding: "last one wins").
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Final

from google.rpc.status_pb2 import Status

from codec.expiry import how_written
from codec.outcome import dump_update_outcome
from codec.timestamps import dump_timestamp, encode_timestamp
from codec.wire import nested, number_tag, tag, varint
from domain.entity_key import EntityKey
from domain.etag import ETAG_LENGTH, etag_token, etag_tokens
from domain.outcome import BatchOutcome, DeletionOutcome, UpdateOutcome
from domain.ports import ListedAggregate, PointInTime, Snapshot, StoredAggregate
from domain.timestamp import Timestamp
from featom.v1 import aggregate_pb2
from featom.v1 import feature_store_pb2 as pb

_KEYS_AT_A_TIME: Final = 4

_ETAG: Final = tag(aggregate_pb2.FeatureAggregate, "etag") + bytes([ETAG_LENGTH])
_ETAG_SIZE: Final = len(_ETAG) + ETAG_LENGTH
_GET_AGGREGATE: Final = tag(pb.GetAggregateResponse, "aggregate")
_GET_READ_TIME: Final = tag(pb.GetAggregateResponse, "read_time")
_UPDATE_AGGREGATE: Final = tag(pb.UpdateFeaturesResponse, "aggregate")
_BATCH_RESPONSES: Final = tag(pb.BatchUpdateFeaturesResponse, "responses")
_STREAM_SEQUENCE: Final = number_tag(pb.StreamUpdateFeaturesResponse, "sequence")
_STREAM_RESPONSE: Final = tag(pb.StreamUpdateFeaturesResponse, "response")
_STREAM_ERROR: Final = tag(pb.StreamUpdateFeaturesResponse, "error")
_LIST_AGGREGATES: Final = tag(pb.ListAggregatesResponse, "aggregates")
_LIST_TOKEN: Final = tag(pb.ListAggregatesResponse, "next_page_token")
_BATCH_RESULTS: Final = tag(pb.BatchGetAggregatesResponse, "results")
_BATCH_READ_TIME: Final = tag(pb.BatchGetAggregatesResponse, "read_time")
_RESULT_AGGREGATE: Final = tag(pb.BatchGetAggregatesResult, "aggregate")
_RESULT_MISSING: Final = tag(pb.BatchGetAggregatesResult, "missing_key")


def get_response(found: StoredAggregate, names: Collection[str], read_time: Timestamp) -> bytes:
    state = _chosen(found.state, names)
    size = varint(len(state) + _ETAG_SIZE)
    etag = etag_token(*found[:3])
    return b"".join((_GET_AGGREGATE, size, state, _ETAG, etag, _get_read_time(read_time)))


def past_response(found: StoredAggregate, names: Collection[str], point: PointInTime) -> bytes:
    """Without an etag: nothing could be written on condition of it."""
    read_time = point.served_at(how_written(found.state).update_time)
    inexact = [name for name in found.inexact_features if not names or name in names]
    return b"".join(
        (
            nested(_GET_AGGREGATE, _chosen(found.state, names)),
            _get_read_time(read_time),
            pb.GetAggregateResponse(inexact_features=inexact).SerializeToString(),
        )
    )


def batch_get_response(keys: Sequence[EntityKey], found: Snapshot, names: Collection[str]) -> bytes:
    return _results(keys, found, names) + _batch_read_time(found.read_time)


async def large_batch_get_response(
    keys: Sequence[EntityKey], found: Snapshot, names: Collection[str]
) -> bytes:
    """The same, with rests in which other calls have their turn: it may take long.

    Responses one after the other are one response with the results of all of them.
    """
    response = BytesIO()
    for start in range(0, len(keys), _KEYS_AT_A_TIME):
        part = slice(start, start + _KEYS_AT_A_TIME)
        response.write(_results(keys[part], found[part], names))
        await asyncio.sleep(0)
    response.write(_batch_read_time(found.read_time))
    return response.getvalue()


def _results(
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


# Reads that go together in one query have one time.
@lru_cache(maxsize=64)
def _get_read_time(time: Timestamp) -> bytes:
    return nested(_GET_READ_TIME, dump_timestamp(time))


@lru_cache(maxsize=64)
def _batch_read_time(time: Timestamp) -> bytes:
    return nested(_BATCH_READ_TIME, dump_timestamp(time))


# Most aggregates of a type are of a few sizes.
@lru_cache(maxsize=16_384)
def _result_head(size: int) -> bytes:
    """What stands before an aggregate of a size in the response to a batch of reads."""
    head = _RESULT_AGGREGATE + varint(size)
    return _BATCH_RESULTS + varint(len(head) + size) + head


def _missing_result(key: EntityKey) -> bytes:
    encoded = aggregate_pb2.EntityKey(entity_type=key[0], entity_id=key[1]).SerializeToString()
    return nested(_BATCH_RESULTS, nested(_RESULT_MISSING, encoded))


def list_response(listed: Sequence[ListedAggregate], next_page_token: str) -> bytes:
    parts: list[bytes] = []
    for _, stored in listed:
        size = varint(len(stored.state) + _ETAG_SIZE)
        parts += (_LIST_AGGREGATES, size, stored.state, _ETAG, etag_token(*stored[:3]))
    if next_page_token:
        parts.append(nested(_LIST_TOKEN, next_page_token.encode()))
    return b"".join(parts)


def update_response(outcome: UpdateOutcome) -> bytes:
    encoded = dump_update_outcome(outcome)
    if outcome.state is None:
        return encoded
    etag = outcome.state_etag
    served = outcome.state + _ETAG + str(etag).encode() if etag else outcome.state
    return encoded + nested(_UPDATE_AGGREGATE, served)


def batch_update_response(outcome: BatchOutcome) -> bytes:
    return b"".join(nested(_BATCH_RESPONSES, update_response(each)) for each in outcome.outcomes)


def stream_response(sequence: int, outcome: UpdateOutcome) -> bytes:
    """The answer to one update of a stream."""
    return _stream_head(sequence) + nested(_STREAM_RESPONSE, update_response(outcome))


def stream_error(sequence: int, status: Status) -> bytes:
    """The answer to one update of a stream that failed."""
    return _stream_head(sequence) + nested(_STREAM_ERROR, status.SerializeToString())


def _stream_head(sequence: int) -> bytes:
    # An int64 below zero goes as its two's complement.
    return _STREAM_SEQUENCE + varint(sequence & 0xFFFF_FFFF_FFFF_FFFF)


def delete_response(outcome: DeletionOutcome) -> bytes:
    response = pb.DeleteAggregateResponse(version=outcome.version, replayed=outcome.replayed)
    encode_timestamp(outcome.delete_time, response.delete_time)
    return response.SerializeToString()


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
