"""Which schemas this build serves, and how builds name themselves to each other."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

BUILD: Final = 1
"""Which use of the schema this build makes. A build that no longer needs something that was there
raises it; the contract migration that then removes the thing names the number as OLDEST_BUILD."""

_NAME: Final = re.compile("featom( health)?, build ([0-9]{1,9})")


class SchemaMismatch(Exception):
    """The schema of the database is not one that this build works with."""


def session_name(build: int) -> str:
    """The application_name of the sessions on which a server reads and writes."""
    return f"featom, build {build}"


def health_session_name(build: int) -> str:
    """The application_name of the one session that each server keeps open for its health."""
    return f"featom health, build {build}"


def servers_of(application_names: Iterable[str]) -> list[int]:
    """The build of each server that some sessions belong to, oldest first.

    Servers are counted by the sessions for their health. Those can be away for a moment: where
    there are only others of a build, these are one server at least.
    """
    found = [match for name in application_names if (match := _NAME.fullmatch(name))]
    healths = Counter(int(match[2]) for match in found if match[1])
    builds = sorted({int(match[2]) for match in found})
    return [build for build in builds for _ in range(max(1, healths[build]))]


def outdated(build: int, oldest_build: int) -> str | None:
    """Why a build is too old for a database, in words; None if it is not."""
    if build >= oldest_build:
        return None
    return f"the database needs build {oldest_build} or later, and this is build {build}"
