"""The server that a command asks: whatever it refuses ends the command, in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc
import typer
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure
from grpc_status import rpc_status

from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub

# A definition and what it changes may be more than the 4 MiB that clients take.
_OPTIONS: Final = (("grpc.max_receive_message_length", -1),)
_FAILED: Final = 2


@contextmanager
def asking(target: str) -> Iterator[EntityTypeServiceStub]:
    """A client, whose errors end the command."""
    with grpc.insecure_channel(target, _OPTIONS) as channel:
        try:
            yield EntityTypeServiceStub(channel)
        except grpc.RpcError as error:
            raise failed(_described(error)) from error


def failed(problem: object) -> typer.Exit:
    """What ends a command that cannot do what it is for."""
    typer.echo(f"featom: {problem}", err=True)
    return typer.Exit(_FAILED)


def _described(error: grpc.RpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
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
    return "\n  ".join([f"{error.code().name}: {headline}", *listed])


def _violations(message: BadRequest | PreconditionFailure) -> Iterator[str]:
    if isinstance(message, BadRequest):
        for violation in message.field_violations:
            yield f"{violation.field}: {violation.description}".replace("\n", "\n    ")
    else:
        for broken in message.violations:
            yield f"{broken.subject}: {broken.description}"
