"""Columns of a statement's arguments, each as one text.

The driver looks at every element of an array on its own, to find out whether it is nested. That
costs it ten times what it costs PostgreSQL to take a text apart. For all but bytes, that is; those
stay arrays.
"""

from collections.abc import Sequence
from uuid import UUID

from domain.timestamp import MICROSECOND, Timestamp


def lines(names: Sequence[str]) -> str:
    """Names of entities, for `string_to_array($1, chr(10))`.

    Raises ValueError if one is more than a line: every one after it would be another's.
    """
    text = "\n".join(names)
    if text.count("\n") != max(len(names) - 1, 0):
        raise ValueError("the name of an entity has no line break")
    return text


def numbers(column: Sequence[int]) -> str:
    """Whole numbers, for `string_to_array($1, ',')`."""
    return ",".join(map(str, column))


def uuids(column: Sequence[UUID | None]) -> str:
    """For `string_to_array($1, ',', '')::uuid[]`, beside other columns.

    Nones alone give no element at all, of which unnest makes NULLs.
    """
    if not any(column):
        return ""
    return ",".join(["" if uuid is None else uuid.hex for uuid in column])


def times(column: Sequence[Timestamp]) -> str:
    """Microseconds, for `string_to_array($1, ',')`."""
    return ",".join([str(timestamp // MICROSECOND) for timestamp in column])
