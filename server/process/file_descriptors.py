"""File descriptors: each connection takes one, and without one nothing can be opened."""

import logging
import resource
from contextlib import suppress
from typing import Final

ENOUGH: Final = 4_096
"""For a thousand clients and what the server itself needs, with room to spare."""
_MOST: Final = 2**20
"""Some systems have no limit worth the name, and some programs count up to it."""

log = logging.getLogger(__name__)


def allow_as_many_as_may_be() -> int:
    """Raise the limit of this process as far as it may be raised; returns it.

    Shells and services often begin with 1,024, for programs that are from another time.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if 0 <= soft < most:
        # Some systems take no more than a number that only their kernel knows.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    if 0 <= soft < ENOUGH:
        log.warning(
            "this process may open %d files and connections; it should be %d (ulimit -n)",
            *(soft, ENOUGH),
        )
    return soft
