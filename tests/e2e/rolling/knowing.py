"""Migrating as a build would, in the process of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from repository.migrations import window
from repository.migrations.revisions import LOCATIONS, revisions
from tests.e2e.rolling.builds import BUILDS


@contextmanager
def knowing(number: int) -> Iterator[None]:
    """In the block this process has the number of a build, and the migrations that it knows."""
    build, before = window.BUILD, list(LOCATIONS)
    window.BUILD = number  # type: ignore[misc]
    if number in BUILDS:
        LOCATIONS.extend(BUILDS[number].versions)
    revisions.cache_clear()
    try:
        yield
    finally:
        window.BUILD = build  # type: ignore[misc]
        LOCATIONS[:] = before
        revisions.cache_clear()
