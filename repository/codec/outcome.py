"""Outcomes as they are remembered with a request id: as the responses that they gave."""

from uuid import UUID

from domain.etag import etag_token, parse_etag
from domain.outcome import BatchOutcome, DeletionOutcome, Outcome, UpdateOutcome
from domain.update import Command, Deletion, UpdateBatch
from featom.v1 import feature_store_pb2 as pb
from repository.codec.instants import decode_instant, encode_instant

_NO_UID = UUID(int=0)


def encode_update_outcome(outcome: UpdateOutcome, into: pb.UpdateFeaturesResponse) -> None:
    """Write all of an outcome but its aggregate into an empty response."""
    version = outcome.version
    if version:
        into.version = version
        into.etag = etag_token(outcome.uid, outcome.epoch, version).decode()
        encode_instant(outcome.update_time, into.update_time)
    if outcome.stale_features:
        into.stale_features.extend(outcome.stale_features)
    if outcome.replayed:
        into.replayed = True


def dump_outcome(outcome: Outcome) -> bytes:
    if isinstance(outcome, UpdateOutcome):
        update = pb.UpdateFeaturesResponse()
        encode_update_outcome(outcome, update)
        return update.SerializeToString()
    if isinstance(outcome, DeletionOutcome):
        deletion = pb.DeleteAggregateResponse(version=outcome.version)
        encode_instant(outcome.delete_time, deletion.delete_time)
        return deletion.SerializeToString()
    batch = pb.BatchUpdateFeaturesResponse()
    for each in outcome.outcomes:
        encode_update_outcome(each, batch.responses.add())
    return batch.SerializeToString()


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
