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
