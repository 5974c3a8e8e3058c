"""The messages of the contract, in a descriptor pool of the client's own.

They are made at import from `contract.binpb`, which has the contract as descriptors. So no
generated code ties the client to a version of protobuf, and it gets along with any stubs of the
contract, or of google.rpc, that the same process has from elsewhere.
"""

from contextlib import suppress
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration as Duration
    from google.protobuf.timestamp_pb2 import Timestamp as Timestamp
    from google.rpc.error_details_pb2 import BadRequest as BadRequest
    from google.rpc.error_details_pb2 import ErrorInfo as ErrorInfo
    from google.rpc.error_details_pb2 import PreconditionFailure as PreconditionFailure
    from google.rpc.error_details_pb2 import RetryInfo as RetryInfo
    from google.rpc.status_pb2 import Status as Status

    from featom.v1.aggregate_pb2 import EntityKey as EntityKey
    from featom.v1.aggregate_pb2 import Feature as Feature
    from featom.v1.aggregate_pb2 import FeatureAggregate as FeatureAggregate
    from featom.v1.entity_type_pb2 import EntityType as EntityType
    from featom.v1.entity_type_pb2 import FeatureSpec as FeatureSpec
    from featom.v1.entity_type_service_pb2 import ApplyEntityTypeRequest as ApplyEntityTypeRequest
    from featom.v1.entity_type_service_pb2 import ApplyEntityTypeResponse as ApplyEntityTypeResponse
    from featom.v1.entity_type_service_pb2 import DeleteEntityTypeRequest as DeleteEntityTypeRequest
    from featom.v1.entity_type_service_pb2 import GetEntityTypeRequest as GetEntityTypeRequest
    from featom.v1.entity_type_service_pb2 import ListEntityTypesRequest as ListEntityTypesRequest
    from featom.v1.feature_store_pb2 import AppendOperation as AppendOperation
    from featom.v1.feature_store_pb2 import BatchGetAggregatesRequest as BatchGetAggregatesRequest
    from featom.v1.feature_store_pb2 import BatchGetAggregatesResponse as BatchGetAggregatesResponse
    from featom.v1.feature_store_pb2 import BatchUpdateFeaturesRequest as BatchUpdateFeaturesRequest
    from featom.v1.feature_store_pb2 import Consistency as Consistency
    from featom.v1.feature_store_pb2 import DeleteAggregateRequest as DeleteAggregateRequest
    from featom.v1.feature_store_pb2 import DeleteAggregateResponse as DeleteAggregateResponse
    from featom.v1.feature_store_pb2 import FeatureUpdate as FeatureUpdate
    from featom.v1.feature_store_pb2 import GetAggregateRequest as GetAggregateRequest
    from featom.v1.feature_store_pb2 import ListAggregatesRequest as ListAggregatesRequest
    from featom.v1.feature_store_pb2 import (
        ListAggregateVersionsRequest as ListAggregateVersionsRequest,
    )
    from featom.v1.feature_store_pb2 import UpdateFeaturesRequest as UpdateFeaturesRequest
    from featom.v1.feature_store_pb2 import UpdateFeaturesResponse as UpdateFeaturesResponse
    from featom.v1.value_pb2 import FeatureValue as FeatureValue


def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    contract = files("featom_client").joinpath("contract.binpb").read_bytes()
    for file in descriptor_pb2.FileDescriptorSet.FromString(contract).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL: Final = _pool()

if not TYPE_CHECKING:

    def __getattr__(name: str) -> type:
        """The class of a message, found by its name in one of the packages of the contract."""
        for package in ("featom.v1", "google.rpc", "google.protobuf"):
            with suppress(KeyError):
                found = _POOL.FindMessageTypeByName(f"{package}.{name}")
                globals()[name] = message_factory.GetMessageClass(found)
                return globals()[name]
        raise AttributeError(f"the contract has no message {name}")


FEATURE_STORE: Final = "/featom.v1.FeatureStoreService/"
ENTITY_TYPES: Final = "/featom.v1.EntityTypeService/"


def answer_class(method: str) -> Any:
    """The class of what a method, such as `/package.Service/Method`, answers with."""
    service, _, name = method.removeprefix("/").partition("/")
    descriptor = _POOL.FindServiceByName(service).FindMethodByName(name)
    return message_factory.GetMessageClass(descriptor.output_type)
