"""The data that the server is loaded with: aggregates of 50 features, about 1.7 KB each.

The same index always gives the same aggregate, and all keys are of one length.
"""

import random

from google.protobuf import timestamp_pb2

from featom.v1 import aggregate_pb2, feature_store_pb2, value_pb2

ENTITY_TYPE = "customer"
WINDOWS = ("1h", "1d", "7d", "30d", "90d")
COUNTS = [f"{what}_{window}" for what in ("txn", "dev", "geo", "login") for window in WINDOWS]
AMOUNTS = [f"{what}_{window}" for what in ("sum", "avg", "max", "risk") for window in WINDOWS]
TEXTS = ("country", "currency", "device", "segment", "channel", "merchant")
TIMES = ("first_seen", "last_login", "last_txn", "kyc_at")
FEATURES = len(COUNTS) + len(AMOUNTS) + len(TEXTS) + len(TIMES)

DAY_SECONDS = 86_400
EVENTS_FROM = 1_780_000_000  # in seconds since 1970; all events happen on the day that follows


def key(index: int, entity_type: str = ENTITY_TYPE) -> aggregate_pb2.EntityKey:
    """The key of the aggregate with this index, from 0."""
    return aggregate_pb2.EntityKey(entity_type=entity_type, entity_id=f"c{index:07}")


def update(index: int) -> feature_store_pb2.UpdateFeaturesRequest:
    """The update that creates the whole aggregate."""
    chance = random.Random(index)
    values = [
        *((name, value_pb2.FeatureValue(int64_value=chance.randrange(10_000))) for name in COUNTS),
        *((name, value_pb2.FeatureValue(double_value=chance.random())) for name in AMOUNTS),
        *((name, value_pb2.FeatureValue(string_value=word(chance))) for name in TEXTS),
        *((name, value_pb2.FeatureValue(timestamp_value=moment(chance))) for name in TIMES),
    ]
    return feature_store_pb2.UpdateFeaturesRequest(
        key=key(index),
        updates=[
            feature_store_pb2.FeatureUpdate(name=name, set=value, event_time=moment(chance))
            for name, value in values
        ],
    )


def word(chance: random.Random) -> str:
    return f"{chance.getrandbits(32):08x}"


def moment(chance: random.Random) -> timestamp_pb2.Timestamp:
    return timestamp_pb2.Timestamp(seconds=EVENTS_FROM + chance.randrange(DAY_SECONDS))
