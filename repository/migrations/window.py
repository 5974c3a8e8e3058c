"""Which schemas this build serves, and how builds name themselves to each other."""

import re
from typing import Final

BUILD: Final = 1
"""Which use of the schema this build makes. A build that no longer needs something that was there
raises it; the contract migration that then removes the thing names the number as OLDEST_BUILD."""

_HEALTH: Final = "featom health, build "


def session_name(build: int) -> str:
    """The application_name of the session that each server keeps open while it runs."""
    return f"{_HEALTH}{build}"


def build_of(application_name: str) -> int | None:
    """The build of the server that a session belongs to; None if it is not a server's."""
    found = re.fullmatch(f"{_HEALTH}([0-9]{{1,9}})", application_name)
    return int(found[1]) if found else None
