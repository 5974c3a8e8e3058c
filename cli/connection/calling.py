"""A client of the server that a command asks; what it raises ends the command, in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from featom_client import Client, FeatomError, Retry, Timeouts

from cli import exits
from cli.connection.endpoint import Endpoint, EndpointRefused
from cli.connection.problems import code_of, described, in_doubt

_ATTEMPTS: Final = 5
"""So a server that is not there is told of in about a second."""


@contextmanager
def calling(endpoint: Endpoint, request_id: str = "") -> Iterator[Client]:
    """A client. `request_id`: of the one write of the command, which Ctrl-C leaves in doubt."""
    try:
        with Client(**client_options(endpoint)) as client:
            yield client
    except EndpointRefused as error:
        raise exits.failed(error, exits.USAGE) from error
    except FeatomError as error:
        raise exits.failed(described(error, endpoint), code_of(error)) from error
    except KeyboardInterrupt as interrupt:
        said = "interrupted"
        if request_id:
            said = f"{said}\n  {in_doubt(request_id)}"
        raise exits.failed(said, exits.INTERRUPTED) from interrupt


def client_options(endpoint: Endpoint) -> dict[str, Any]:
    """What Client and AsyncClient are made with. The files are read now. Raises EndpointRefused."""
    if endpoint.secure or endpoint.token_file:
        # It reads certificates, which takes what those without TLS need not load.
        from cli.connection.channel import check_files

        check_files(endpoint)
    token_file = endpoint.token_file
    return {
        "target": endpoint.target,
        "tls": endpoint.tls,
        "ca": endpoint.tls_ca,
        "certificate": endpoint.tls_cert,
        "key": endpoint.tls_key,
        "server_name": endpoint.tls_server_name,
        "token": (lambda: token_file.read_text("ascii").strip()) if token_file else None,
        "timeouts": Timeouts(attempt=endpoint.timeout, call=endpoint.timeout),
        "retry": Retry(attempts=_ATTEMPTS),
    }
