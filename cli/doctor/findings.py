"""What has been looked at, and what was found."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but will not for ever, or not as it should."""
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    """It could not be looked at, for a reason that is no fault of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that has been looked at."""

    check: str
    verdict: Verdict
    said: str
    next: str = ""
    """What to do about it."""


def ok(check: str, said: str) -> Finding:
    return Finding(check, Verdict.OK, said)


def warning(check: str, said: str, next_step: str) -> Finding:
    return Finding(check, Verdict.WARNING, said, next_step)


def problem(check: str, said: str, next_step: str) -> Finding:
    return Finding(check, Verdict.PROBLEM, said, next_step)


def unknown(check: str, said: str, next_step: str = "") -> Finding:
    return Finding(check, Verdict.UNKNOWN, said, next_step)
