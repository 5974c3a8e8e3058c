"""Where the password of the database comes from, when it is not in the DSN: a file, or Entra.

The driver asks for it anew for each connection, so it may change while the server runs: a mounted
secret is rotated, a token expires.

Azure Database for PostgreSQL takes tokens of Microsoft Entra ID as passwords. A pod with workload
identity holds a token of its cluster in a file, which Entra trades for one of the database: OAuth
2.0 client credentials with a JWT as the assertion. That is one request, so it needs no library.
"""

import asyncio
import json
import logging
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Final, TypeAlias

Password: TypeAlias = Callable[[], Awaitable[str]]
"""Must raise an OSError when there is none to be had: the database then counts as away."""

_FILE: Final = "file:"
_SCOPE: Final = "https://ossrdbms-aad.database.windows.net/.default"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ENTRA_TIMEOUT: Final = 5.0
# So many seconds before its end a token is replaced, in the background,
_EARLY: Final = 300.0
# and so many it must still have: it must outlive the making of the connection.
_CONNECTING: Final = 15.0

log = logging.getLogger(__name__)


class PasswordSourceUnknown(Exception):
    """This is no place that a password can come from."""


def password_from(source: str | None) -> Password | None:
    """The password of `file:PATH` or of `entra`; None leaves it to the DSN and libpq's variables.

    Raises PasswordSourceUnknown.
    """
    if source is None:
        return None
    if source == "entra":
        try:
            return EntraToken(WorkloadIdentity.of(os.environ))
        except KeyError as missing:
            raise PasswordSourceUnknown(
                f"password_from=entra needs a pod with workload identity: no {missing.args[0]}"
            ) from missing
    if source.startswith(_FILE) and source != _FILE:
        return PasswordFile(Path(source.removeprefix(_FILE)))
    raise PasswordSourceUnknown(f"password_from must be file:PATH or entra, not {source!r}")


class PasswordFile:
    """Implements Password with what a file holds, but for a line feed at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __call__(self) -> str:
        text = await asyncio.to_thread(self._path.read_bytes)
        try:
            return text.decode().removesuffix("\n")
        except UnicodeDecodeError:
            # Without the error's own words: they tell of what the file holds.
            raise OSError(f"{self._path} is not a text") from None


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
    """Implements Password with a token, which is replaced some time before it expires.

    Until then it is good, whatever becomes of the attempts to get another one.
    """

    def __init__(self, identity: WorkloadIdentity) -> None:
        self._identity = identity
        self._token = ""
        self._expires = 0.0
        # Connections that open together share one request; and it goes on when nobody waits for it
        # any more, so that the next one has its answer.
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self) -> str:
        left = self._expires - time.monotonic()
        if left < _EARLY:
            if self._asking is None:
                self._asking = asyncio.create_task(self._renew())
                self._asking.add_done_callback(self._ended)
            if left < _CONNECTING:
                await asyncio.shield(self._asking)
        return self._token

    async def _renew(self) -> None:
        asked = time.monotonic()
        self._token, lasts = await asyncio.to_thread(_ask, self._identity)
        self._expires = asked + lasts

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._asking = None
        # Those who waited for it have the error too.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("no new token: %s", error)


def _ask(identity: WorkloadIdentity) -> tuple[str, float]:
    """A new token, and the seconds that it lasts."""
    address = f"{identity.authority}/{identity.tenant}/oauth2/v2.0/token"
    try:
        form = {
            "grant_type": "client_credentials",
            "client_id": identity.client,
            "scope": _SCOPE,
            "client_assertion_type": _ASSERTION,
            "client_assertion": identity.token_file.read_text(),
        }
        body = urllib.parse.urlencode(form).encode()
        # The address is the webhook's, not a caller's.
        with urllib.request.urlopen(address, body, _ENTRA_TIMEOUT) as response:  # noqa: S310
            answer = json.load(response)
        return str(answer["access_token"]), float(answer["expires_in"])
    except (OSError, HTTPException, KeyError, TypeError, ValueError) as error:
        raise NoToken(f"Entra gave no token: {error}") from error
