"""Tests of the whole program run on the newest PostgreSQL, and on the others if they are asked for.

What may differ between versions is below the program, and is always tested on each of them.
FEATOM_TEST_POSTGRES=embedded, said and not only meant, asks for all of them everywhere.
"""

import os
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parents[1]
WHOLE_PROGRAM: Final = (
    HERE / "e2e",
    HERE / "integration/test_contract_server.py",
    HERE / "integration/test_embedded_postgres.py",
    HERE / "integration/test_stream_leftovers.py",
    HERE / "integration/test_update_streams.py",
)
OLDER: Final = "postgres-15"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A hook of pytest's."""
    if "FEATOM_TEST_POSTGRES" in os.environ:
        return
    left_out = {item for item in items if OLDER in item.name and _is_of_whole_program(item.path)}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def _is_of_whole_program(file: Path) -> bool:
    return any(file.is_relative_to(part) for part in WHOLE_PROGRAM)
