"""A client of the server that a command asks; what it raises ends the command, in words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, Self, TypeVar

from featom_client import Client, FeatomError, Retry, Timeouts
from featom_client.calls import Call
from featom_client.connection import from_environment

from cli import exits
from cli.connection.endpoint import Endpoint, EndpointRefused
from cli.connection.problems import code_of, described, in_doubt

_ATTEMPTS: Final = 5
"""So a server that is not there is told of in about a second."""


class Message(Protocol):
    """A message of the generated code."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802 - as protobuf names it

    @classmethod
    def FromString(cls, serialized: bytes) -> Self: ...  # noqa: N802


Answer = TypeVar("Answer", bound=Message)


@contextmanager
def calling(endpoint: Endpoint, request_id: str = "") -> Iterator[Client]:
    """A client. `request_id`: of the one write of the command, which may be left in doubt."""
    try:
        with Client(**client_options(endpoint)) as client:
            yield client
    except EndpointRefused as error:
        raise exits.failed(error, exits.USAGE) from error
    except FeatomError as error:
        raise exits.failed(described(error, endpoint, request_id), code_of(error)) from error
    except KeyboardInterrupt as interrupt:
        said = "interrupted"
        if request_id:
            said = f"{said}\n  {in_doubt(request_id)}"
        raise exits.failed(said, exits.INTERRUPTED) from interrupt


def ask(client: Client, method: str, request: Message, answer: type[Answer]) -> Answer:
    """Make a call about entity types that the client has no method for.

    Such calls may be made again: applied twice a definition changes nothing.
    """

    def read(found: Message) -> Answer:
        return answer.FromString(found.SerializeToString())

    return client.call(Call(f"/featom.v1.EntityTypeService/{method}", request, read))


def client_options(endpoint: Endpoint) -> dict[str, Any]:
    """What Client and AsyncClient are made with. The files are read now. Raises EndpointRefused."""
    if endpoint.secure or endpoint.token_file:
        # It reads certificates, which takes what those without TLS need not load.
        from cli.connection.files import check_files

        check_files(endpoint)
    token_file = endpoint.token_file
    given = {
        "target": endpoint.target,
        "tls": endpoint.tls,
        "ca": endpoint.tls_ca,
        "certificate": endpoint.tls_cert,
        "key": endpoint.tls_key,
        "server_name": endpoint.tls_server_name,
        "token": (lambda: token_file.read_text("ascii").strip()) if token_file else None,
    }
    try:
        # With the variables that there are no options for.
        from_environment(given, os.environ)
    except ValueError as error:
        raise EndpointRefused(error) from error
    return {
        **given,
        "timeouts": Timeouts(attempt=endpoint.timeout, call=endpoint.timeout),
        "retry": Retry(attempts=_ATTEMPTS),
    }
