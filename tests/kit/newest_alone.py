"""Tests that run on the newest PostgreSQL alone, unless all are asked for on every version.

What may differ between versions is SQL: statements, plans, locks, roles, migrations, errors. So
everything that speaks SQL runs on each of them. What does not see which one is there runs on the
newest: the whole program, what gRPC makes of an answer, networks that fail, and bounds of size.
FEATOM_TEST_POSTGRES=embedded, said and not only meant, asks for all of them everywhere.
"""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.kit.postgres import OLDER

HERE: Final = Path(__file__).parents[1]
WHOLE_PROGRAM: Final = (
    "contract_server",
    "embedded_folders",
    "embedded_postgres",
    "stream_leftovers",
    "stream_life",
    "update_streams",
)
ANSWERS: Final = (
    "client_retries",
    "contract_bad_input",
    "contract_creations",
    "contract_deletions",
    "contract_limits",
    "contract_reads",
    "contract_repetitions",
    "contract_updates",
    "error_transport",
    "ports",
    "tracing",
    "unsent_answers",
)
NETWORKS: Final = ("connecting", "silent_databases")
SIZES: Final = (
    "large_aggregates",
    "large_reads",
    "large_updates_beside_changes",
    "long_evaluations",
    "long_histories",
)
ON_NEWEST_ALONE: Final = (
    HERE / "client",
    HERE / "commands",
    HERE / "consistency",
    HERE / "e2e",
    *(
        HERE / f"integration/test_{each}.py"
        for each in (*WHOLE_PROGRAM, *ANSWERS, *NETWORKS, *SIZES)
    ),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A hook of pytest's."""
    if "FEATOM_TEST_POSTGRES" in os.environ:
        return
    left_out = {item for item in items if OLDER in item.name and _is_for_newest(item.path)}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def _is_for_newest(file: Path) -> bool:
    return any(file.is_relative_to(part) for part in ON_NEWEST_ALONE)
