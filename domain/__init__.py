"""The model: what a feature aggregate is, and what may happen to it.

It knows the standard library and msgspec.Struct.
"""

from domain.aggregate import FeatureAggregate
from domain.change import Change
from domain.entity_key import EntityKey
from domain.etag import Etag, parse_etag
from domain.feature import Feature
from domain.limits import Limits
from domain.operations import Append, Increment, Maximum, Minimum, Operation, Remove, SetValue
from domain.outcome import BatchOutcome, DeletionOutcome, Outcome, UpdateOutcome
from domain.timestamp import Timestamp
from domain.update import Command, Deletion, FeatureUpdate, Update, UpdateBatch
from domain.values import FeatureValue, ValueKind

__all__ = [
    "Append",
    "BatchOutcome",
    "Change",
    "Command",
    "Deletion",
    "DeletionOutcome",
    "EntityKey",
    "Etag",
    "Feature",
    "FeatureAggregate",
    "FeatureUpdate",
    "FeatureValue",
    "Increment",
    "Limits",
    "Maximum",
    "Minimum",
    "Operation",
    "Outcome",
    "Remove",
    "SetValue",
    "Timestamp",
    "Update",
    "UpdateBatch",
    "UpdateOutcome",
    "ValueKind",
    "parse_etag",
]
