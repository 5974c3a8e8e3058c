"""One document by HTTPS, within a time and a size."""

import http.client
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

TIMEOUT: Final = 5.0
MAX_BYTES: Final = 1_024 * 1_024


def fetching(url: str, ca: Path | None) -> Callable[[], bytes]:
    """A function that fetches `url`, which blocks and raises OSError.

    It follows no redirect: who may say which keys count is in the settings and nowhere else. With
    `ca`, a file of PEM, only that authority is believed; it is read anew at each fetch.
    """
    address = urlsplit(url)
    target = address._replace(scheme="", netloc="", fragment="").geturl() or "/"

    def fetch() -> bytes:
        latest = time.monotonic() + TIMEOUT
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=TIMEOUT, context=context
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
    while part := response.read1(MAX_BYTES):
        body += part
        if len(body) > MAX_BYTES:
            raise OSError(f"the answer is larger than {MAX_BYTES} bytes")
        if time.monotonic() > latest:
            raise TimeoutError(f"the answer took more than {TIMEOUT:g} seconds")
    return body
