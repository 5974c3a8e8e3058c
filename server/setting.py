"""How a setting is declared: once, with its default, its bounds and its help.

The command line, the `FEATOM_` variables, the checks and the table in docs/settings.md come from
these declarations.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from formats.addresses import host_of

_METADATA: Final = "setting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known of a setting beside its name, its type and its default."""

    name: str
    help: str
    default: Any
    unset: str
    """What the default is where it is None, for people."""
    above: float | None
    at_least: float | None
    at_most: float | None
    choices: Sequence[str]
    is_address: bool

    @property
    def variable(self) -> str:
        return f"FEATOM_{self.name.upper()}"

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    def problems(self, value: Any) -> Iterator[str]:
        """What is wrong with a value, in words."""
        if value is None:
            return
        if self.above is not None and not self.above < value < math.inf:
            yield f"{self.name} must be more than {self.above:g}, not {value}"
        if self.at_least is not None and not self.at_least <= value < math.inf:
            yield f"{self.name} must be {self.at_least:g} or more, not {value}"
        if self.at_most is not None and self.at_most < value < math.inf:
            yield f"{self.name} must be at most {self.at_most:,}, not {value:,}"
        if self.choices and value.lower() not in self.choices:
            yield f"{self.name} must be one of {', '.join(self.choices)}"
        if self.is_address and host_of(value) is None:
            yield f"{self.name} must be HOST:PORT, not {value!r}"


def setting(
    default: Any,
    help: str,
    *,
    unset: str = "",
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: Sequence[str] = (),
    is_address: bool = False,
) -> Any:
    """A field of a dataclass that is a setting."""
    declared = {
        "help": help,
        "unset": unset,
        "above": above,
        "at_least": at_least,
        "at_most": at_most,
        "choices": choices,
        "is_address": is_address,
    }
    return field(default=default, metadata={_METADATA: declared})


def settings_of(kind: Any) -> list[Setting]:
    """Every setting of a dataclass: its own, in order, and then those of its bases."""
    found = [each for each in fields(kind) if _METADATA in each.metadata]
    found.sort(key=lambda each: each.name not in kind.__annotations__)
    return [
        Setting(name=each.name, default=each.default, **each.metadata[_METADATA]) for each in found
    ]


def problems_of(settings: Any) -> Iterator[str]:
    """Everything that is wrong with the values by themselves, in words."""
    for each in settings_of(type(settings)):
        yield from each.problems(getattr(settings, each.name))
