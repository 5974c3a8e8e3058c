"""Where the password of the database comes from, when it is not in the DSN.

The driver asks for it anew for each connection, so it may change while the server runs: a mounted
secret is rotated, a token expires.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from repository.credentials.entra import EntraToken, WorkloadIdentity

Password: TypeAlias = Callable[[], Awaitable[str]]
"""Must raise an OSError when there is none to be had: the database then counts as away."""

_FILE = "file:"


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
