"""Where the keys come from that tokens are signed with: a file, or the issuer."""

import asyncio
import http.client
import logging
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from domain.errors import AuthenticationUnavailable
from server.access.jwks import SigningKey, matching, read_keys
from server.process.watched_files import WatchedFiles
from telemetry.metrics import Metric, MetricSource, counter

REFRESH: Final = 300.0
"""Seconds between fetches, so that a key which the issuer has dropped is not good for long."""
ASK_AGAIN: Final = 10.0
"""Seconds between fetches for keys that are not known: strangers make up as many as they like."""
PATIENCE: Final = 15.0
"""Seconds that callers wait for a fetch, which has time-outs of its own where it can."""
TRY_AGAIN: Final = 1.0
"""Seconds between fetches while no key is known at all."""

log = logging.getLogger(__name__)


class KeySource(Protocol):
    """Knows the keys of an issuer."""

    @property
    def current(self) -> Sequence[SigningKey]:
        """The keys that are known now; another object when they have changed."""

    async def find(self, kid: str | None) -> Sequence[SigningKey]:
        """The keys that a token which names `kid` may be signed with; none if there are none.

        Must raise AuthenticationUnavailable if that cannot be said now.
        """

    async def watch(self) -> None:
        """Keep up with the issuer, until cancelled."""


class ObservedKeySource(KeySource, MetricSource, Protocol):
    """One that tells how it fares."""

    @property
    def files(self) -> Sequence[WatchedFiles[Any]]:
        """The files that the keys are in, if they are in files."""


class KeysOfFile:
    """Keys of a file, which may change."""

    def __init__(self, path: Path) -> None:
        """Raises SettingsRefused if there are no keys in it."""
        self._file = WatchedFiles("JSON Web Key Set", [path], lambda read: read_keys(*read), "jwks")
        self.files: Sequence[WatchedFiles[Any]] = (self._file,)

    @property
    def current(self) -> Sequence[SigningKey]:
        return self._file.current

    def metrics(self) -> Iterable[Metric]:
        return ()

    async def find(self, kid: str | None) -> Sequence[SigningKey]:
        return matching(self.current, kid)

    async def watch(self) -> None:
        await self._file.watch()


class KeysOfIssuer:
    """Keys that are fetched from the issuer: now and then, and when one is not known."""

    files: Sequence[WatchedFiles[Any]] = ()

    def __init__(self, fetch: Callable[[], bytes]) -> None:
        """`fetch` blocks, for a bounded time, and raises OSError."""
        self.current: Sequence[SigningKey] = ()
        self._fetch = fetch
        self._content = b""
        self._fetching: asyncio.Task[None] | None = None
        self._running: asyncio.Future[bytes] | None = None
        self._not_before = 0.0
        self._failed = True
        self._failures = 0

    async def find(self, kid: str | None) -> Sequence[SigningKey]:
        found = matching(self.current, kid)
        if not found:
            await self._ask_if_it_is_time()
            found = matching(self.current, kid)
        # The key may be a new one, which could not be fetched.
        if not found and self._failed:
            raise AuthenticationUnavailable
        return found

    async def watch(self) -> None:
        while True:
            await self._ask()
            await asyncio.sleep(ASK_AGAIN if self._failed else REFRESH)

    def metrics(self) -> Iterator[Metric]:
        yield counter(
            "featom_jwks_fetch_failures_total",
            "Times that the keys of the issuer of tokens could not be fetched, or not be used.",
            self._failures,
        )

    async def _ask_if_it_is_time(self) -> None:
        if self._fetching is not None or asyncio.get_running_loop().time() >= self._not_before:
            await self._ask()

    async def _ask(self) -> None:
        """Fetch; all who ask meanwhile wait for the same answer, and none can cancel it."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._refresh())
        await asyncio.shield(self._fetching)

    async def _fetched(self) -> bytes:
        """What the issuer answers. One that hangs, as a name server may, is waited for again and
        not asked once more: each fetch takes a thread of all that there are."""
        if self._running is None:
            self._running = asyncio.ensure_future(asyncio.to_thread(self._fetch))
        running = self._running
        done, _ = await asyncio.wait({running}, timeout=PATIENCE)
        if not done:
            raise TimeoutError(f"the issuer has not answered within {PATIENCE:g} s")
        self._running = None
        return await running

    async def _refresh(self) -> None:
        try:
            content = await self._fetched()
            if content != self._content:
                self.current = read_keys(content)
                self._content = content
                log.info("%d keys of the issuer of tokens", len(self.current))
            self._failed = False
        except Exception as error:  # whatever is wrong with this answer, the next one may be right
            log.error("the keys of the issuer of tokens could not be fetched: %s", error)
            self._failed = True
            self._failures += 1
        finally:
            pause = ASK_AGAIN if self.current else TRY_AGAIN
            self._not_before = asyncio.get_running_loop().time() + pause
            self._fetching = None


FETCH_TIMEOUT: Final = 5.0
MAX_FETCHED_BYTES: Final = 1_024 * 1_024


def fetching(url: str, ca: Path | None) -> Callable[[], bytes]:
    """A function that fetches one document by HTTPS, within a time and a size.

    It blocks, and raises OSError. It follows no redirect: who may say which keys count is in the
    settings and nowhere else. With `ca`, a file of PEM, only that authority is believed; it is read
    anew at each fetch.
    """
    address = urlsplit(url)
    target = address._replace(scheme="", netloc="", fragment="").geturl() or "/"

    def fetch() -> bytes:
        latest = time.monotonic() + FETCH_TIMEOUT
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=FETCH_TIMEOUT, context=context
        )
        try:
            connection.request("GET", target, headers={"Accept": "application/json"})
            return _body(connection.getresponse(), latest)
        except http.client.HTTPException as error:
            raise OSError(f"{url}: {error!r}") from error
        finally:
            connection.close()

    return fetch


def _body(response: http.client.HTTPResponse, latest: float) -> bytes:
    if response.status != http.client.OK:
        raise OSError(f"the answer is {response.status} {response.reason}")
    body = b""
    while part := response.read1(MAX_FETCHED_BYTES):
        body += part
        if len(body) > MAX_FETCHED_BYTES:
            raise OSError(f"the answer is larger than {MAX_FETCHED_BYTES} bytes")
        if time.monotonic() > latest:
            raise TimeoutError(f"the answer took more than {FETCH_TIMEOUT:g} seconds")
    return body
