"""What is granted to whom."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from server.access.permissions import LONGEST_TYPE, Need, Permission

_MAX_REMEMBERED: Final = 10_000


class Grant(NamedTuple):
    """Permissions that some principals have."""

    principals: Sequence[str]
    """Globs: `*` stands for any run without `:` and `/`, `**` for any run."""
    permissions: Mapping[Permission, Sequence[str]]
    """Globs of entity types: `*` stands for any run."""


class Grants:
    """All grants together. What no grant allows is refused."""

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self._grants = [
            (
                _any(map(_principals, grant.principals)),
                {name: _any(map(_types, globs)) for name, globs in grant.permissions.items()},
            )
            for grant in grants
        ]
        self._remembered: dict[tuple[str, Need], bool] = {}

    def refused(self, principal: str, needs: Iterable[Need]) -> list[Need]:
        """Those of the needs that the principal is not granted."""
        return [need for need in needs if not self._allows(principal, need)]

    def _allows(self, principal: str, need: Need) -> bool:
        need = need._replace(entity_type=need.entity_type[:LONGEST_TYPE])
        allowed = self._remembered.get((principal, need))
        if allowed is None:
            allowed = self._decide(principal, need)
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[principal, need] = allowed
        return allowed

    def _decide(self, principal: str, need: Need) -> bool:
        return any(
            need.permission in permissions
            and permissions[need.permission].fullmatch(need.entity_type)
            for principals, permissions in self._grants
            if principals.fullmatch(principal)
        )


def _principals(glob: str) -> str:
    parts = re.split(r"(\*+)", glob)
    runs = {"*": "[^:/]*", "**": ".*"}
    return "".join(runs.get(part) or re.escape(part) for part in parts)


def _types(glob: str) -> str:
    return ".*".join(map(re.escape, glob.split("*")))


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL)
