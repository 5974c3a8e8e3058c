"""The options of `featom serve` that are about who may do what."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

TlsCert: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="FEATOM_TLS_CERT",
        show_default=False,
        help="The server's certificate, and those up to its CA, as PEM; read anew when it changes.",
    ),
]
TlsKey: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="FEATOM_TLS_KEY", show_default=False, help="The key of the certificate, as PEM."
    ),
]
TlsClientCa: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="FEATOM_TLS_CLIENT_CA",
        show_default=False,
        help="CAs as PEM: clients must show a certificate of one of them (mTLS).",
    ),
]
Auth: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="FEATOM_AUTH",
        help="How callers prove who they are: none, mtls (a certificate), jwt (a token), or"
        " mtls,jwt. With several, a token counts before the certificate.",
    ),
]
JwtIssuer: TypeAlias = Annotated[
    str, typer.Option(envvar="FEATOM_JWT_ISSUER", help="The iss that tokens must have.")
]
JwtAudience: TypeAlias = Annotated[
    str, typer.Option(envvar="FEATOM_JWT_AUDIENCE", help="The aud that tokens must have.")
]
JwtJwks: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="FEATOM_JWT_JWKS",
        help="The issuer's keys, a JSON Web Key Set: an https URL, or a file.",
    ),
]
JwtCa: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="FEATOM_JWT_CA",
        show_default=False,
        help="CAs as PEM, for that URL; without it those of the system.",
    ),
]
AuthorizationFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        envvar="FEATOM_AUTHORIZATION",
        show_default=False,
        help="Who may do what, in YAML; read anew when it changes. Needed with --auth.",
    ),
]
AuditLogTarget: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="FEATOM_AUDIT_LOG",
        show_default=False,
        help="A file, or - for standard output: a line of JSON for each call that changes.",
    ),
]
MaxWaitingBytes: TypeAlias = Annotated[
    int,
    typer.Option(
        envvar="FEATOM_MAX_WAITING_BYTES",
        help="Bytes of requests that may be unanswered before callers get UNAVAILABLE.",
    ),
]
MaxUnsentBytes: TypeAlias = Annotated[
    int,
    typer.Option(
        envvar="FEATOM_MAX_UNSENT_BYTES",
        help="Bytes of answers that callers have not taken yet; half of them for answers above a"
        " mebibyte. More wait, and get UNAVAILABLE in the end.",
    ),
]
MaxStreams: TypeAlias = Annotated[
    int, typer.Option(envvar="FEATOM_MAX_STREAMS", help="Calls at a time on one connection.")
]
HandshakeTimeout: TypeAlias = Annotated[
    float,
    typer.Option(
        envvar="FEATOM_HANDSHAKE_TIMEOUT",
        help="Seconds that a new connection has to say what it is.",
    ),
]
RatePerPrincipal: TypeAlias = Annotated[
    int,
    typer.Option(
        envvar="FEATOM_RATE_PER_PRINCIPAL",
        help="Calls a second, and messages of streams, of one caller; 0 for any number.",
    ),
]
