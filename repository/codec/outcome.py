"""Outcomes as they are remembered with a request id: as the responses that they gave."""

from functools import lru_cache
from typing import Final
from uuid import UUID

from domain.etag import ETAG_LENGTH, etag_token, parse_etag
from domain.instant import Instant
from domain.outcome import BatchOutcome, DeletionOutcome, Outcome, UpdateOutcome
from domain.update import Command, Deletion, UpdateBatch
from featom.v1 import feature_store_pb2 as pb
from repository.codec.instants import decode_instant, encode_instant
from repository.codec.wire import nested, number_tag, tag, varint

_NO_UID: Final = UUID(int=0)
_RESPONSES: Final = tag(pb.BatchUpdateFeaturesResponse, "responses")
_VERSION: Final = number_tag(pb.UpdateFeaturesResponse, "version")
_ETAG: Final = tag(pb.UpdateFeaturesResponse, "etag") + varint(ETAG_LENGTH)


def dump_update_outcome(outcome: UpdateOutcome) -> bytes:
    """All of an outcome but its aggregate."""
    written = _dump_written(outcome) if outcome.version else b""
    if not (outcome.stale_features or outcome.replayed):
        return written
    message = pb.UpdateFeaturesResponse(
        stale_features=outcome.stale_features, replayed=outcome.replayed
    )
    return written + message.SerializeToString()


def dump_outcome(outcome: Outcome) -> bytes:
    if isinstance(outcome, UpdateOutcome):
        return dump_update_outcome(outcome)
    if isinstance(outcome, DeletionOutcome):
        deletion = pb.DeleteAggregateResponse(version=outcome.version)
        encode_instant(outcome.delete_time, deletion.delete_time)
        return deletion.SerializeToString()
    return b"".join(nested(_RESPONSES, dump_update_outcome(each)) for each in outcome.outcomes)


def load_outcome(command: Command, stored: bytes) -> Outcome:
    """The first outcome of a command that was remembered."""
    if isinstance(command, Deletion):
        deletion = pb.DeleteAggregateResponse.FromString(stored)
        return DeletionOutcome(deletion.version, decode_instant(deletion.delete_time))
    if isinstance(command, UpdateBatch):
        batch = pb.BatchUpdateFeaturesResponse.FromString(stored)
        return BatchOutcome(tuple(map(_update_outcome, batch.responses)))
    return _update_outcome(pb.UpdateFeaturesResponse.FromString(stored))


def _update_outcome(response: pb.UpdateFeaturesResponse) -> UpdateOutcome:
    etag = parse_etag(response.etag) if response.etag else None
    return UpdateOutcome(
        uid=etag.uid if etag else _NO_UID,
        epoch=etag.epoch if etag else 0,
        version=response.version,
        update_time=decode_instant(response.update_time),
        stale_features=tuple(response.stale_features),
    )


def _dump_written(outcome: UpdateOutcome) -> bytes:
    version = outcome.version
    time = _dump_update_time(outcome.update_time)
    if outcome.rehearsed:
        return b"".join((_VERSION, varint(version), time))
    token = etag_token(outcome.uid, outcome.epoch, version)
    return b"".join((_VERSION, varint(version), _ETAG, token, time))


# Mostly, all updates of a batch have the same.
@lru_cache(maxsize=256)
def _dump_update_time(update_time: Instant) -> bytes:
    message = pb.UpdateFeaturesResponse()
    encode_instant(update_time, message.update_time)
    return message.SerializeToString()
