"""The server that a command asks: whatever it refuses ends the command, in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc
import typer
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure
from grpc_status import rpc_status

from cli import exits
from cli.connection.channel import open_channel
from cli.connection.endpoint import Endpoint, EndpointRefused
from cli.connection.handshake import what_tls_says
from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub

_FAILED: Final = 2


@contextmanager
def entity_type_service(endpoint: Endpoint) -> Iterator[EntityTypeServiceStub]:
    """A client about entity types, whose errors end the command."""
    with connected(endpoint) as channel:
        yield EntityTypeServiceStub(channel)


@contextmanager
def connected(endpoint: Endpoint) -> Iterator[grpc.Channel]:
    """A channel; what calls on it raise ends the command."""
    try:
        with open_channel(endpoint) as channel:
            yield channel
    except EndpointRefused as error:
        raise failed(error) from error
    except grpc.RpcError as error:
        raise failed(_described(error, endpoint)) from error


def failed(problem: object) -> typer.Exit:
    """As cli.exits.failed; 1 says that a command has found something."""
    return exits.failed(problem, _FAILED)


def _described(error: grpc.RpcError, endpoint: Endpoint) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    code = error.code()
    by_server = status is not None
    if code is grpc.StatusCode.UNAVAILABLE and not by_server:
        problem = what_tls_says(endpoint)
        if problem is not None:
            return f"{endpoint.target}: {problem}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and not by_server:
        return f"{endpoint.target} has not answered within {endpoint.timeout:g} s; see --timeout"
    if code is grpc.StatusCode.UNAUTHENTICATED and endpoint.token_file is None:
        return f"{code.name}: {error.details()} There is no --token-file."
    info, invalid, broken = ErrorInfo(), BadRequest(), PreconditionFailure()
    for detail in status.details if status else ():
        for message in (info, invalid, broken):
            detail.Unpack(message)
    listed = [*_violations(invalid), *_violations(broken)]
    more = int(info.metadata.get("violations", 0)) - len(listed)
    if more > 0:
        listed.append(f"… and {more:,} more")
    said = error.details() or ""
    # The message lists them too, in one line and cut where it is too long.
    headline = said.partition(":")[0] if listed else said
    return "\n  ".join([f"{code.name}: {headline}", *listed])


def _violations(message: BadRequest | PreconditionFailure) -> Iterator[str]:
    if isinstance(message, BadRequest):
        for violation in message.field_violations:
            yield f"{violation.field}: {violation.description}".replace("\n", "\n    ")
    else:
        for broken in message.violations:
            yield f"{broken.subject}: {broken.description}"
