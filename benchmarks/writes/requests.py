"""The requests of the workloads over gRPC, and what their answers must be."""

import random
from collections.abc import Sequence
from typing import Final

from benchmarks.workload import Unverified
from benchmarks.writes import changes
from benchmarks.writes.rig import WriteRig
from featom.v1 import feature_store_pb2 as pb

SERVICE: Final = "/featom.v1.FeatureStoreService"
TOGETHER: Final = 100
"""Updates in a stream, and in a batch."""
DIFFERENT: Final = 1_000
"""Prepared streams and batches."""


def uniform(rig: WriteRig) -> list[list[bytes]]:
    """An update of each aggregate."""
    return [[changes.message(index).SerializeToString()] for index in range(rig.aggregates)]


def one_entity(rig: WriteRig) -> list[list[bytes]]:
    """Many updates of one aggregate."""
    return [[changes.message(0).SerializeToString()] for _ in range(rig.aggregates)]


def streams(rig: WriteRig) -> list[list[bytes]]:
    """Streams of updates of random aggregates."""
    return [
        [
            pb.StreamUpdateFeaturesRequest(
                sequence=number, update=changes.message(index)
            ).SerializeToString()
            for number, index in enumerate(indexes, start=1)
        ]
        for indexes in _some(rig)
    ]


def batches(rig: WriteRig) -> list[list[bytes]]:
    """Batches of updates of different aggregates, chosen at random."""
    return [
        [
            pb.BatchUpdateFeaturesRequest(
                updates=[changes.message(index) for index in indexes]
            ).SerializeToString()
        ]
        for indexes in _some(rig)
    ]


def _some(rig: WriteRig) -> list[list[int]]:
    return [random.sample(range(rig.aggregates), TOGETHER) for _ in range(DIFFERENT)]


def check_update(answers: Sequence[bytes]) -> None:
    (answer,) = map(pb.UpdateFeaturesResponse.FromString, answers)
    _check(answer)


def check_stream(answers: Sequence[bytes]) -> None:
    parsed = list(map(pb.StreamUpdateFeaturesResponse.FromString, answers))
    if sorted(answer.sequence for answer in parsed) != list(range(1, TOGETHER + 1)):
        raise Unverified(f"a stream gave {len(parsed)} answers")
    for answer in parsed:
        _check(answer.response)


def check_batch(answers: Sequence[bytes]) -> None:
    (answer,) = map(pb.BatchUpdateFeaturesResponse.FromString, answers)
    if len(answer.responses) != TOGETHER:
        raise Unverified(f"a batch gave {len(answer.responses)} answers")
    for response in answer.responses:
        _check(response)


def _check(response: pb.UpdateFeaturesResponse) -> None:
    if response.version < 2 or not response.etag or response.stale_features:
        raise Unverified(f"an update gave {response}")
