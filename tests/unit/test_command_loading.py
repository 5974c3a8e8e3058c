"""What a command loads, and what shells complete."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.program import FEATOM
from tests.kit.serving import ROOT

LOADED = """
import json, sys
from cli.main import app
try:
    app(sys.argv[1:], prog_name="featom")
except SystemExit:
    pass
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded_by(*arguments: str) -> set[str]:
    """The packages that a process has loaded after a command."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "card", "4711", "--target", "127.0.0.1:1", "--timeout", "0.1"),
        ("update", "card", "4711", "n=1", "--target", "127.0.0.1:1", "--timeout", "0.1"),
        ("types", "list", "--target", "127.0.0.1:1", "--timeout", "0.1"),
    ],
)
def test_a_call_loads_no_server(arguments: tuple[str, ...]) -> None:
    loaded = loaded_by(*arguments)
    assert "featom_client" in loaded
    heavy = {"server", "repository", "domain", "asyncpg", "sqlalchemy", "cryptography", "uvloop"}
    assert loaded & (heavy | {"prometheus_client", "cel_expr_python", "rich"}) == set()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("featom ty", {"types"}),
        ("featom types de", {"delete"}),
        ("featom get --as-of-v", {"--as-of-version"}),
        ("featom completion ''", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes_commands_and_options(words: str, wanted: set[str], tmp_path: Path) -> None:
    """As bash itself does it, with the script."""
    command = tmp_path / "featom"
    command.write_text(f'#!/bin/sh\ncd {ROOT} && exec {" ".join(FEATOM)} "$@"\n')
    command.chmod(0o755)
    script = f"""
    source <(featom completion bash)
    COMP_WORDS=({words})
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    $(complete -p featom | sed 's/.*-F \\([^ ]*\\).*/\\1/') featom
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == wanted, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_theirs(shell: str) -> None:
    done = subprocess.run(
        [*FEATOM, "completion", shell], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "_FEATOM_COMPLETE" in done.stdout
    assert f"complete_{shell}" in done.stdout
