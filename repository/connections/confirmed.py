"""Commits whose wait for a synchronous standby was not cut short.

If somebody cancels that wait, PostgreSQL says so in a WARNING, and then that all went well.
"""

from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final, TypeVar

import asyncpg

Result = TypeVar("Result")

_WARNING: Final = "WARNING"
_OF_OTHER_THINGS: Final = frozenset({"GetNewTransactionId", "GetNewMultiXactId"})
"""The functions of PostgreSQL that warn, at every transaction, of numbers that run out."""


class Unconfirmed(ConnectionError):
    """PostgreSQL gave a warning while it worked: perhaps no standby has the commit."""


async def confirmed(connection: Any, work: Awaitable[Result]) -> Result:
    """The result of some work on a connection that commits. Raises Unconfirmed."""
    warnings: list[str] = []

    def note(_: object, message: Any) -> None:
        # The severity in words that are not translated, and who says it.
        if (
            message.severity_en == _WARNING
            and message.server_source_function not in _OF_OTHER_THINGS
        ):
            warnings.append(message.sqlstate)

    connection.add_log_listener(note)
    try:
        result = await work
    finally:
        # The driver refuses the call once it has let go of the connection.
        with suppress(asyncpg.InterfaceError):
            connection.remove_log_listener(note)
    if warnings:
        raise Unconfirmed(f"PostgreSQL warned of {', '.join(warnings)} during a commit")
    return result
