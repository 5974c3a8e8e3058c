"""The options of commands that ask a server."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli import exits
from cli.connection.endpoint import DEFAULT_TIMEOUT, Endpoint, EndpointRefused

DEFAULT_TARGET: Final = "127.0.0.1:50051"
CALL_TIMEOUT: Final = 30.0
"""Seconds, unless a command does what may take minutes."""


def endpoint_options(
    *,
    target: Annotated[
        str, typer.Option(envvar="FEATOM_TARGET", help="HOST:PORT of the server to ask.")
    ] = DEFAULT_TARGET,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            envvar="FEATOM_CLIENT_TLS",
            help="Ask over TLS; each of the other options of TLS says so too.",
        ),
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            envvar="FEATOM_CLIENT_TLS_CA",
            show_default=False,
            help="CAs as PEM, of which one must vouch for the server; without it those that come"
            " with gRPC.",
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            envvar="FEATOM_CLIENT_TLS_CERT",
            show_default=False,
            help="The certificate to show to the server, as PEM (mTLS).",
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            envvar="FEATOM_CLIENT_TLS_KEY",
            show_default=False,
            help="The key of that certificate, as PEM.",
        ),
    ] = None,
    tls_server_name: Annotated[
        str | None,
        typer.Option(
            envvar="FEATOM_CLIENT_TLS_SERVER_NAME",
            show_default=False,
            help="The name in the server's certificate, where it is not the host of the target.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="FEATOM_CLIENT_TOKEN_FILE",
            show_default=False,
            help="A file with the bearer token to send; read anew by each command.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            envvar="FEATOM_CLIENT_TIMEOUT",
            help="Seconds to wait for each answer of the server.",
        ),
    ] = DEFAULT_TIMEOUT,
) -> Endpoint:
    """Raises EndpointRefused."""
    return Endpoint(**locals())


def with_endpoint(
    command: Callable[..., None], timeout: float = DEFAULT_TIMEOUT
) -> Callable[..., None]:
    """The command with these options in the place of its parameter `endpoint`."""
    options = dict(inspect.signature(endpoint_options).parameters)
    options["timeout"] = options["timeout"].replace(default=timeout)
    own = inspect.signature(command).parameters
    shown = [each for each in (*own.values(), *options.values()) if each.name != "endpoint"]

    @wraps(command)
    def asked(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in options}
        try:
            endpoint = endpoint_options(**chosen)
        except EndpointRefused as error:
            raise exits.failed(error, exits.USAGE) from error
        command(**given, endpoint=endpoint)

    # What typer makes of a command is what these two say.
    asked.__annotations__ = {each.name: each.annotation for each in shown}
    asked.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in shown]
    )
    return asked


def for_a_call(command: Callable[..., None]) -> Callable[..., None]:
    """`with_endpoint` for commands whose calls are answered soon."""
    return with_endpoint(command, CALL_TIMEOUT)
