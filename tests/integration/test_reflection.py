"""Reflection, as clients of both of its names ask for it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from server.services.entity_types import SERVICE as TYPES_SERVICE
from server.services.feature_store import SERVICE
from server.services.reflection import SERVICES
from tests.kit.serving import ROOT, Server

NOT_FOUND: Final = grpc.StatusCode.NOT_FOUND.value[0]
INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT.value[0]
BUF: Final = Path(sys.executable).with_name("buf")
STORE_FILE: Final = "featom/v1/feature_store.proto"


@pytest.fixture(params=SERVICES, ids=lambda service: service.full_name)
def protocol(request: pytest.FixtureRequest) -> ServiceDescriptor:
    """v1 or v1alpha, each with messages of its own."""
    service: ServiceDescriptor = request.param
    return service


async def reflect(channel: grpc.aio.Channel, protocol: ServiceDescriptor, **asked: Any) -> Any:
    """The answer to one request."""
    (method,) = protocol.methods
    request = message_factory.GetMessageClass(method.input_type)(host="h", **asked)
    answer_class = message_factory.GetMessageClass(method.output_type)

    async def requests() -> AsyncIterator[Any]:
        yield request

    call: Any = channel.stream_stream(
        f"/{protocol.full_name}/{method.name}",
        lambda message: message.SerializeToString(),
        answer_class.FromString,
    )
    answer: Any = await anext(aiter(call(requests())))
    assert answer.original_request == request
    return answer


def files_in(answer: Any) -> dict[str, FileDescriptorProto]:
    found = answer.file_descriptor_response.file_descriptor_proto
    return {file.name: file for file in map(FileDescriptorProto.FromString, found)}


async def test_the_services_are_listed(
    channel: grpc.aio.Channel, protocol: ServiceDescriptor
) -> None:
    answer = await reflect(channel, protocol, list_services="*")
    names = {service.name for service in answer.list_services_response.service}
    assert names == {
        "featom.v1.EntityTypeService",
        "featom.v1.FeatureStoreService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for name in names:
        files = files_in(await reflect(channel, protocol, file_containing_symbol=name))
        described = [
            f"{file.package}.{service.name}" for file in files.values() for service in file.service
        ]
        assert described == [name]


@pytest.mark.parametrize("service", [SERVICE, TYPES_SERVICE], ids=lambda each: each.name)
async def test_services_and_each_of_their_methods_are_described_with_all_that_they_need(
    channel: grpc.aio.Channel, protocol: ServiceDescriptor, service: ServiceDescriptor
) -> None:
    for name in (service.full_name, *(method.full_name for method in service.methods)):
        files = files_in(await reflect(channel, protocol, file_containing_symbol=name))
        file = files[service.file.name]
        methods = {method.name for method in file.service[0].method}
        assert methods == {method.name for method in service.methods}
        assert all(needed in files for each in files.values() for needed in each.dependency)


@pytest.mark.parametrize(
    "symbol",
    [
        "featom.v1.UpdateFeaturesRequest",
        "featom.v1.UpdateFeaturesRequest.must_be_absent",
        "featom.v1.FeatureUpdate.operation",
        "featom.v1.FeatureUpdate.set",
    ],
)
async def test_whatever_the_contract_names_is_found(
    channel: grpc.aio.Channel, protocol: ServiceDescriptor, symbol: str
) -> None:
    answer = await reflect(channel, protocol, file_containing_symbol=symbol)
    assert STORE_FILE in files_in(answer)


@pytest.mark.parametrize(
    "asked",
    [
        {"file_containing_symbol": "featom.v1.NoSuchThing"},
        {"file_containing_symbol": "featom.v1.FeatureStoreService.NoSuchMethod"},
        {"file_containing_symbol": "featom.v1.NoSuchService.UpdateFeatures"},
        {"file_containing_symbol": ""},
        {"file_by_filename": "no/such.proto"},
        {"all_extension_numbers_of_type": "featom.v1.NoSuchMessage"},
        {"file_containing_extension": {"containing_type": "featom.v1.Rule", "extension_number": 7}},
    ],
    ids=str,
)
async def test_what_is_not_there_is_not_found(
    channel: grpc.aio.Channel, protocol: ServiceDescriptor, asked: dict[str, Any]
) -> None:
    answer = await reflect(channel, protocol, **asked)
    assert answer.error_response.error_code == NOT_FOUND


async def test_files_and_extensions_are_told_and_what_asks_for_nothing_is_invalid(
    channel: grpc.aio.Channel, protocol: ServiceDescriptor
) -> None:
    answer = await reflect(channel, protocol, file_by_filename=STORE_FILE)
    assert STORE_FILE in files_in(answer)
    message = "featom.v1.UpdateFeaturesRequest"
    answer = await reflect(channel, protocol, all_extension_numbers_of_type=message)
    numbers = answer.all_extension_numbers_response
    assert (numbers.base_type_name, list(numbers.extension_number)) == (message, [])
    answer = await reflect(channel, protocol)
    assert answer.error_response.error_code == INVALID


@pytest.mark.parametrize("name", ["grpc-v1", "grpc-v1alpha"])
def test_buf_knows_the_methods_by_either_name(server: Server, name: str) -> None:
    def curl(*arguments: str) -> str:
        command = [str(BUF), "curl", "--http2-prior-knowledge", "--protocol", "grpc"]
        command += ["--reflect-protocol", name, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    url = f"http://{server.address}"
    listed = curl("--list-methods", url).splitlines()
    assert f"{SERVICE.full_name}/UpdateFeatures" in listed
    data = '{"entity_type": "reflected"}'
    assert json.loads(curl("-d", data, f"{url}/{SERVICE.full_name}/ListAggregates")) == {}
