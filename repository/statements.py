"""The SQL of the repository, by name, from the files in `sql/`.

Each statement says what happens if it is run a second time, which is what it needs to be run again
after its answer was lost:

    -- query: NAME         reads only
    -- idempotent: NAME    a second run changes nothing
    -- once: NAME          neither; for a transaction whose outcome is looked up when in doubt

Pools take the first two kinds by their types. A string is none of them, so a statement reaches a
pool by `query` or `idempotent`, which refuse another kind's name.

A parameter is a number, `$1`, or in a statement that has many a name, `:updated.version`. As
PostgreSQL knows only numbers, names are numbered here, in the order in which they first appear.
"""

import re
from collections.abc import Collection, Mapping
from enum import Enum
from importlib import resources
from typing import Final, NewType

Query = NewType("Query", str)
"""A statement that reads only."""
Idempotent = NewType("Idempotent", str)
"""A statement that may write, but of which a second run changes nothing."""


class Kind(Enum):
    """What happens if a statement is run again."""

    QUERY = "query"
    IDEMPOTENT = "idempotent"
    ONCE = "once"


_HEADER: Final = re.compile(rf"^-- ({'|'.join(kind.value for kind in Kind)}): (\w+)$", re.MULTILINE)
_PARAMETER: Final = re.compile(r"(?<!:):([a-z]\w*(?:\.\w+)?)")


class WrongKind(Exception):
    """The statement is of another kind."""


class Statements(dict[str, str]):
    """The statements of one file, for transactions; and by their kinds, for pools."""

    def __init__(self, file: str) -> None:
        # What stands before the first header is for readers.
        _, *parts = _HEADER.split((resources.files("repository") / "sql" / file).read_text())
        kinds, names, bodies = parts[::3], parts[1::3], parts[2::3]
        texts = {name: body.strip().rstrip(";") for name, body in zip(names, bodies, strict=True)}
        super().__init__({name: with_numbers(text) for name, text in texts.items()})
        self.parameters: Final[Mapping[str, tuple[str, ...]]] = {
            name: _parameters(text) for name, text in texts.items()
        }
        """The names of each statement's parameters, in the order of their numbers."""
        self.kinds: Final = {name: Kind(kind) for name, kind in zip(names, kinds, strict=True)}

    def query(self, name: str) -> Query:
        """A statement that reads only. Raises WrongKind or KeyError."""
        return Query(self._of_kind(name, Kind.QUERY))

    def idempotent(self, name: str) -> Idempotent:
        """A statement that may be run again. Raises WrongKind or KeyError."""
        return Idempotent(self._of_kind(name, Kind.IDEMPOTENT))

    def _of_kind(self, name: str, kind: Kind) -> str:
        if self.kinds[name] is not kind:
            raise WrongKind(f"{name} is {self.kinds[name].value}, not {kind.value}")
        return self[name]


def with_numbers(text: str) -> str:
    """A statement with numbers for the names of its parameters."""
    numbers = {name: number for number, name in enumerate(_parameters(text), start=1)}
    return _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", text)


def require_same_names(statement: str, wanted: Collection[str], given: Collection[str]) -> None:
    """Raises ValueError, which names each parameter that only one of the two has."""
    missing, unknown = sorted({*wanted} - {*given}), sorted({*given} - {*wanted})
    if missing or unknown:
        raise ValueError(f"{statement} needs {missing}, and has no {unknown}")


def _parameters(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_PARAMETER.findall(text)))


READ: Final = Statements("read.sql")
HISTORY: Final = Statements("history.sql")
WRITE: Final = Statements("write.sql")
TYPES: Final = Statements("entity_types.sql")
SESSION: Final = Statements("session.sql")
DURABILITY: Final = Statements("durability.sql")
RETENTION: Final = Statements("retention.sql")
INSPECTION: Final = Statements("inspection.sql")

ALL: Final = (READ, HISTORY, WRITE, TYPES, SESSION, DURABILITY, RETENTION, INSPECTION)
