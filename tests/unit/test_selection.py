"""Which tests run where, and what is said of those that this machine cannot run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.needs import NEEDS
from tests.kit.newest_alone import ON_NEWEST_ALONE

ROOT = Path(__file__).parents[2]
NEEDY = "tests/integration/test_poolers.py"
LACKING = """
from tests.kit import needs
needs.NEEDS = {**needs.NEEDS, "pgbouncer": needs.Need(lambda: False, "it is nowhere")}
"""


@pytest.mark.parametrize("workers", [(), ("--numprocesses", "1")], ids=["alone", "worker"])
def test_what_is_left_out_is_named_at_the_end_with_the_way_to_have_it(
    workers: tuple[str, ...], tmp_path: Path
) -> None:
    code, said = run_without_pgbouncer(tmp_path, *workers)
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED, said
    assert "NOT RUN HERE" in said
    assert "tests that need pgbouncer (it is nowhere)" in said


def test_where_all_is_required_the_run_does_not_begin(tmp_path: Path) -> None:
    code, said = run_without_pgbouncer(tmp_path, "--require-all")
    assert code == pytest.ExitCode.USAGE_ERROR, said
    assert "pgbouncer is missing (it is nowhere)" in said


def test_every_need_says_how_it_is_met() -> None:
    assert all(need.how for need in NEEDS.values())


def test_what_runs_on_the_newest_postgresql_alone_is_there() -> None:
    assert [path.name for path in ON_NEWEST_ALONE if not path.exists()] == []


def run_without_pgbouncer(folder: Path, *options: str) -> tuple[int, str]:
    """The exit code of a run of tests that need it, and what was said."""
    (folder / "lacking.py").write_text(LACKING)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "lacking", *options, NEEDY)
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr
