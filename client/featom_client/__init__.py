"""The Python client of Featom, a transactional feature store."""

from featom_client.answers import Aggregate, AggregateChange, Deleted, Updated
from featom_client.async_client import AsyncClient
from featom_client.async_stream import AsyncStream
from featom_client.batch import AsyncBatch, Batch
from featom_client.bulk import StaleRow, WriteResult, WriteStopped
from featom_client.client import Client
from featom_client.entity_types import Applied, EntityType, FeatureSpec, Rule
from featom_client.errors import *  # noqa: F403
from featom_client.errors import __all__ as _errors
from featom_client.operations import append, at, inc, maximum, minimum, remove
from featom_client.retries import Retry, Timeouts
from featom_client.rows import RefusedRow
from featom_client.stream import Stream
from featom_client.table import Table
from featom_client.values import FeatureList, Value, vector

__all__ = [
    "Aggregate",
    "AggregateChange",
    "Applied",
    "AsyncBatch",
    "AsyncClient",
    "AsyncStream",
    "Batch",
    "Client",
    "Deleted",
    "EntityType",
    "FeatureList",
    "FeatureSpec",
    "RefusedRow",
    "Retry",
    "Rule",
    "StaleRow",
    "Stream",
    "Table",
    "Timeouts",
    "Updated",
    "Value",
    "WriteResult",
    "WriteStopped",
    "append",
    "at",
    "inc",
    "maximum",
    "minimum",
    "remove",
    "vector",
    *_errors,
]
