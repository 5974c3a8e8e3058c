"""Alerts and dashboard hang together, and every alert is seen to come."""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from deploy.observability import dashboard, prometheus_rule
from tests.deploy.observability import FOLDER, ROOT, RUNBOOKS, alerts, expressions, panels
from tests.kit.promql import matchers_in, metrics_in

NAMES = sorted({rule["alert"] for rule in alerts()})
PROMTOOL = ROOT / "build/prometheus/usr/bin/promtool"
SECTIONS = ("## What it means", "## What callers see", "## Look", "## Do", "## Afterwards")


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Debian's: that of this machine, or the project's own, fetched if it is not there yet."""
    if (installed := shutil.which("promtool")) is not None:
        return Path(installed)
    if not PROMTOOL.exists():
        command = ("make", "promtool")
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            pytest.fail(f"no promtool in PATH, and `make promtool` cannot get it:\n{made.stderr}")
    return PROMTOOL


def said(*command: str | Path) -> str:
    """What a command complains of."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_promtool_takes_the_alerts_and_sees_each_come(promtool: Path) -> None:
    assert said(promtool, "check", "rules", FOLDER / "alerts.yaml") == ""
    assert said(promtool, "test", "rules", FOLDER / "alerts_test.yaml") == ""


@pytest.mark.needs("promtool")
def test_promtool_sees_an_alert_that_does_not_come(promtool: Path, tmp_path: Path) -> None:
    text = (FOLDER / "alerts.yaml").read_text()
    (tmp_path / "alerts.yaml").write_text(text.replace('"away|heavy|lost"', '"gone"'))
    shutil.copy(FOLDER / "alerts_test.yaml", tmp_path)
    assert "FeatomDatabaseAway" in said(promtool, "test", "rules", tmp_path / "alerts_test.yaml")


@pytest.mark.needs("promtool")
def test_promtool_can_read_every_expression(promtool: Path, tmp_path: Path) -> None:
    rules = [
        {"record": f"expression_{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, (who, expression) in enumerate(expressions())
        if not who.startswith("the test of ")
    ]
    assert len(rules) > 50
    (tmp_path / "all.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]})
    )
    assert said(promtool, "check", "rules", tmp_path / "all.yaml") == ""


def test_each_alert_is_tested_to_come_and_not_to_come() -> None:
    cases = [
        case
        for test in yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    assert {case["alertname"] for case in cases if "exp_alerts" in case} == set(NAMES)
    assert {case["alertname"] for case in cases if "exp_alerts" not in case} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_says_how_urgent_it_is_and_leads_to_its_runbook(name: str) -> None:
    for rule in (rule for rule in alerts() if rule["alert"] == name):
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"] == f"https://runbooks.invalid/{name}.md"


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_it_means_what_to_look_at_and_what_to_do(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    at = [text.find(section) for section in SECTIONS]
    assert -1 not in at
    assert at == sorted(at)
    # A page.
    assert 25 <= len(text.splitlines()) <= 70
    for rule in (rule for rule in alerts() if rule["alert"] == name):
        assert f"`{rule['labels']['severity']}`" in text
        assert metrics_in(rule["expr"]) & metrics_in(text) or name == "FeatomAbsent"


def test_there_is_no_runbook_for_an_alert_that_there_is_not() -> None:
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == set(NAMES)


def test_the_dashboard_is_the_one_that_is_made() -> None:
    assert dashboard.FILE.read_text() == dashboard.dashboard()


def test_the_rules_of_the_operator_are_the_alerts() -> None:
    assert prometheus_rule.FILE.read_text() == prometheus_rule.prometheus_rule()


def test_every_panel_says_what_it_shows_and_covers_no_other() -> None:
    covered: Counter[tuple[int, int]] = Counter()
    for panel in json.loads(dashboard.FILE.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        covered.update(
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        )
    assert set(covered.values()) == {1}
    for panel in panels():
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert 'job=~"$job", instance=~"$instance"' in target["expr"]


def test_the_metrics_of_an_expression_are_found() -> None:
    expression = """
        histogram_quantile(0.99, sum by (job, le) (rate(a_bucket{x="y", z=~"b|c"}[5m])))
          > 0.5 * sum without (u) (v:w) and on (t) (d offset 10m or e{f!="g"} * 1e3) unless h
    """
    assert metrics_in(expression) == {"a_bucket", "v:w", "d", "e", "h"}
    assert set(matchers_in(expression)) == {("x", "y"), ("z", "b"), ("z", "c"), ("f", "g")}
