"""The files of deploy/observability, and the ways to look things up in them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy/observability"
RUNBOOKS: Final = ROOT / "docs/runbooks"


def alerts() -> list[dict[str, Any]]:
    """Every rule."""
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel that shows something."""
    every = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return [panel for panel in every if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Each expression of alerts, their tests, runbooks and dashboard, after who asks."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for test in yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]:
        for series in test["input_series"]:
            yield f"the test of {test['name']}", series["series"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for runbook in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"```promql\n(.*?)```", runbook.read_text(), re.DOTALL):
            yield runbook.name, block
    for text in re.findall(r"label_values\((.*), \w+\)", (FOLDER / "dashboard.json").read_text()):
        yield "a variable of the dashboard", json.loads(f'"{text}"')
