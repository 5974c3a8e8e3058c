"""Programs and rights that some tests need and not every machine has.

`@pytest.mark.needs("pgbouncer")` names what a test needs. Where it is missing the test is left out,
and the end of the run says so. With `--require-all`, as in CI, the run does not even begin.
"""

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import pytest

from tests.kit.moved_clock import libfaketime
from tests.kit.pgbouncer import PGBOUNCER
from tests.kit.postgres import DEBIANS_15, OLDER, servers


@dataclass(frozen=True)
class Need:
    """Something that a test cannot do without."""

    is_met: Callable[[], bool]
    how: str
    """How to meet it."""


def _may_mount() -> bool:
    """Whether this process may mount a file system; root of a container often may not."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
            return False
        subprocess.run(("umount", folder), check=True)
    return True


def _can_have_promtool() -> bool:
    """It is fetched where there is apt."""
    return any(shutil.which(program) for program in ("promtool", "apt-get"))


def _runs_on_older() -> bool:
    return OLDER in servers() or os.environ.get("FEATOM_TEST_POSTGRES") == "container"


NEEDS: Final[Mapping[str, Need]] = {
    "libfaketime": Need(
        lambda: libfaketime() is not None,
        "on another processor than x86-64: apt-get install faketime",
    ),
    "mount": Need(_may_mount, "run as root, with the right to mount a file system"),
    "pgbouncer": Need(PGBOUNCER.exists, f"{PGBOUNCER}: apt-get install pgbouncer"),
    "postgresql-15": Need(
        _runs_on_older, f"{DEBIANS_15} or FEATOM_TEST_POSTGRES_15: apt-get install postgresql-15"
    ),
    "promtool": Need(_can_have_promtool, "promtool in the PATH; it comes with Prometheus"),
    "root": Need(lambda: os.geteuid() == 0, "run as root"),
}
_LEFT_OUT: Final = pytest.StashKey[dict[str, int]]()
_OUTPUT: Final = "left_out_for_needs"


@cache  # some are found out by trying
def _is_missing(need: str) -> bool:
    return not NEEDS[need].is_met()


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all",
        action="store_true",
        help="fail if something that tests need is missing, instead of leaving them out",
    )


def pytest_configure(config: pytest.Config) -> None:
    """A hook of pytest's."""
    config.addinivalue_line("markers", "needs(name): a key of NEEDS in tests/kit/needs.py")
    config.stash[_LEFT_OUT] = {}
    if config.getoption("require_all") and (missing := [*filter(_is_missing, NEEDS)]):
        raise pytest.UsageError(
            "--require-all: "
            + "; ".join(f"{need} is missing ({NEEDS[need].how})" for need in missing)
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A hook of pytest's."""
    missing = {item: need for item in items if (need := _missing_for(item))}
    config.stash[_LEFT_OUT] = dict(Counter(missing.values()))
    if missing:
        config.hook.pytest_deselected(items=[*missing])
        items[:] = [item for item in items if item not in missing]


def _missing_for(item: pytest.Item) -> str | None:
    """The first of its needs that is not met."""
    needs = (need for marker in item.iter_markers("needs") for need in marker.args)
    return next(filter(_is_missing, needs), None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A hook of pytest's: a worker tells its controller, which collects nothing."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output[_OUTPUT] = session.config.stash[_LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A hook of xdist's. Each worker collects the same."""
    told = getattr(node, "workeroutput", {})
    node.config.stash[_LEFT_OUT] = told.get(_OUTPUT, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """A hook of pytest's."""
    lines = [
        f"{count} tests that need {need} ({NEEDS[need].how})"
        for need, count in sorted(config.stash[_LEFT_OUT].items())
    ]
    if _is_missing("postgresql-15"):
        how = NEEDS["postgresql-15"].how
        lines.append(f"any test on PostgreSQL 15; what ran, ran on 18 alone ({how})")
    if lines:
        terminalreporter.section("NOT RUN HERE", yellow=True, bold=True)
        for line in lines:
            terminalreporter.line(line, yellow=True, bold=True)
