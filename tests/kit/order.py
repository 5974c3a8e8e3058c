"""The order in which workers of one run take up files: what waits longest first.

A file that takes a minute and comes last would be waited for by all other workers.
"""

from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parents[1]
LONGEST_FIRST: Final = (
    "docs",
    "attacks",
    "client",
    "e2e",
    "commands",
    "consistency",
    "integration",
    "conformance",
    "deploy",
    "unit",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A hook of pytest's. Within a folder and a file all stays as it is."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folder = item.path.relative_to(HERE).parts[0]
    return LONGEST_FIRST.index(folder)
