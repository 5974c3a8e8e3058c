"""Outcomes as they are remembered with a request id: as the responses that they gave."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from codec.timestamps import decode_timestamp, encode_timestamp
from codec.wire import nested, number_tag, tag, varint
from domain.entity_key import EntityKey
from domain.etag import ETAG_LENGTH, etag_token, parse_etag
from domain.outcome import BatchOutcome, DeletionOutcome, Outcome, UpdateOutcome
from domain.timestamp import Timestamp
from domain.update import Deletion, Update, UpdateBatch, keys_of
from featom.v1 import feature_store_pb2 as pb

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
        encode_timestamp(outcome.delete_time, deletion.delete_time)
        return deletion.SerializeToString()
    return b"".join(nested(_RESPONSES, dump_update_outcome(each)) for each in outcome.outcomes)


def dump_batch_outcome(batch: UpdateBatch, outcome: BatchOutcome) -> dict[EntityKey, bytes | None]:
    """The outcome of a batch as it is remembered under each of its keys.

    All is under the first one; but names of features are under that of their own entity, to go with
    it when it is erased. None where there is nothing to say.
    """
    first, *others = keys_of(batch)
    stored: dict[EntityKey, bytes | None] = dict.fromkeys(others)
    if not any(each.stale_features for each in outcome.outcomes):
        stored[first] = dump_outcome(outcome)
        return stored
    of_first = [
        each if update.key == first else replace(each, stale_features=())
        for update, each in zip(batch.updates, outcome.outcomes, strict=True)
    ]
    stored[first] = dump_outcome(BatchOutcome(tuple(of_first)))
    names: defaultdict[EntityKey, list[Sequence[str]]] = defaultdict(list)
    for update, each in zip(batch.updates, outcome.outcomes, strict=True):
        names[update.key].append(each.stale_features)
    for key in others:
        if any(names[key]):
            message = pb.BatchUpdateFeaturesResponse()
            for stale_features in names[key]:
                message.responses.add(stale_features=stale_features)
            stored[key] = message.SerializeToString()
    return stored


def load_batch_outcome(
    batch: UpdateBatch, stored: Mapping[EntityKey, bytes | None]
) -> BatchOutcome:
    """The first outcome of a batch, without what was erased meanwhile.

    Of an entity that was erased the names of features are gone; if it was the first one, so are all
    versions.
    """
    first, *_ = keys_of(batch)
    loaded = _responses(stored.get(first))
    responses = loaded or [pb.UpdateFeaturesResponse() for _ in batch.updates]
    names = {key: iter(_responses(stored.get(key))) for key in stored if key != first}
    for update, response in zip(batch.updates, responses, strict=True):
        of_its_own = next(names[update.key], None) if update.key in names else None
        if of_its_own is not None:
            response.stale_features.extend(of_its_own.stale_features)
    return BatchOutcome(tuple(map(_update_outcome, responses)))


def load_outcome(command: Update | Deletion, stored: bytes) -> UpdateOutcome | DeletionOutcome:
    """The first outcome of a command that was remembered."""
    if isinstance(command, Deletion):
        deletion = pb.DeleteAggregateResponse.FromString(stored)
        return DeletionOutcome(deletion.version, decode_timestamp(deletion.delete_time))
    return _update_outcome(pb.UpdateFeaturesResponse.FromString(stored))


def _responses(stored: bytes | None) -> list[pb.UpdateFeaturesResponse]:
    return list(pb.BatchUpdateFeaturesResponse.FromString(stored or b"").responses)


def _update_outcome(response: pb.UpdateFeaturesResponse) -> UpdateOutcome:
    etag = parse_etag(response.etag) if response.etag else None
    return UpdateOutcome(
        uid=etag.uid if etag else _NO_UID,
        epoch=etag.epoch if etag else 0,
        version=response.version,
        update_time=decode_timestamp(response.update_time),
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
def _dump_update_time(update_time: Timestamp) -> bytes:
    message = pb.UpdateFeaturesResponse()
    encode_timestamp(update_time, message.update_time)
    return message.SerializeToString()
