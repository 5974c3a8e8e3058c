"""Tokens of Microsoft Entra ID as passwords of Azure Database for PostgreSQL.

A pod with workload identity holds a token of its cluster in a file, which Entra trades for one of
the database: OAuth 2.0 client credentials with a JWT as the assertion. That is one request, so it
needs no library.
"""

import asyncio
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SCOPE: Final = "https://ossrdbms-aad.database.windows.net/.default"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_TIMEOUT: Final = 5.0
# A token must outlive the connecting that it is fetched for.
_MARGIN: Final = 300.0


class NoToken(OSError):
    """Entra gave no token; an OSError, so that the database counts as away."""


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """What the webhook of workload identity puts into the environment of a pod."""

    authority: str
    tenant: str
    client: str
    token_file: Path

    @staticmethod
    def of(environment: Mapping[str, str]) -> "WorkloadIdentity":
        """Raises KeyError if something is missing."""
        return WorkloadIdentity(
            environment["AZURE_AUTHORITY_HOST"].rstrip("/"),
            environment["AZURE_TENANT_ID"],
            environment["AZURE_CLIENT_ID"],
            Path(environment["AZURE_FEDERATED_TOKEN_FILE"]),
        )


class EntraToken:
    """Implements Password with a token, which is kept until shortly before it expires."""

    def __init__(self, identity: WorkloadIdentity) -> None:
        self._identity = identity
        self._token = ""
        self._expires = 0.0
        # Connections that open together share one request.
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> str:
        async with self._one_at_a_time:
            if time.monotonic() > self._expires - _MARGIN:
                asked = time.monotonic()
                self._token, lasts = await asyncio.to_thread(_ask, self._identity)
                self._expires = asked + lasts
        return self._token


def _ask(identity: WorkloadIdentity) -> tuple[str, float]:
    """A new token, and the seconds that it lasts."""
    form = {
        "grant_type": "client_credentials",
        "client_id": identity.client,
        "scope": _SCOPE,
        "client_assertion_type": _ASSERTION,
        "client_assertion": identity.token_file.read_text(),
    }
    address = f"{identity.authority}/{identity.tenant}/oauth2/v2.0/token"
    body = urllib.parse.urlencode(form).encode()
    try:
        # The address is the webhook's, not a caller's.
        with urllib.request.urlopen(address, body, _TIMEOUT) as response:  # noqa: S310
            answer = json.load(response)
        return str(answer["access_token"]), float(answer["expires_in"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise NoToken(f"Entra gave no token: {error}") from error
