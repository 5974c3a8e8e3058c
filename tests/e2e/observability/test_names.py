"""Documentation, alerts and dashboard speak of the metrics that a server really exports."""

import re
from pathlib import Path
from typing import Final

import pytest

from repository.connections.sqlstates import Verdict
from tests.deploy.observability import expressions, panels
from tests.kit.promql import matchers_in, metrics_in
from tests.kit.scraping import Scrape, scrape
from tests.kit.secured_server import Fortress
from tests.kit.serving import Server

TABLE: Final = Path(__file__).parents[3] / "docs/observability.md"
ROW: Final = re.compile(
    r"^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) ?\| \S.* \|$", re.MULTILINE
)
# What it says of a target itself.
OF_PROMETHEUS: Final = {"up"}
OF_KUBE_STATE_METRICS: Final = {"kube_job_failed", "kube_job_status_active"}
OF_OTHERS: Final = OF_PROMETHEUS | OF_KUBE_STATE_METRICS


@pytest.fixture(scope="module")
def exported(observed: Server, guarded: Fortress) -> Scrape:
    """All that there is, of a server that everybody may call and of one that is guarded."""
    everybodys, guardeds = scrape(observed), scrape(guarded.server)
    return Scrape(
        {**everybodys.families, **guardeds.families}, {**everybodys.samples, **guardeds.samples}
    )


def test_the_table_of_metrics_is_what_a_server_exports(exported: Scrape) -> None:
    documented = {name: kind for name, kind, _ in ROW.findall(TABLE.read_text())}
    assert documented == {
        f"{name}_total" if kind == "counter" else name: kind
        for name, kind in exported.families.items()
    }


def test_the_table_names_the_labels_that_series_have(exported: Scrape) -> None:
    documented = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, _, labels in ROW.findall(TABLE.read_text())
    }
    for name, labels in exported.samples:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        wanted = documented[name] if name in documented else documented[family]
        assert {label for label, _ in labels} - {"le"} == wanted, name


def test_alerts_and_dashboard_ask_only_for_metrics_that_there_are(exported: Scrape) -> None:
    series = exported.series
    for who, expression in expressions():
        found = metrics_in(expression)
        assert found, f"{who} asks for nothing"
        assert found <= series | OF_OTHERS, f"{who} asks for {found - series}"


def test_alerts_and_dashboard_compare_with_values_that_there_are(exported: Scrape) -> None:
    known: dict[str, set[str]] = {"verdict": {verdict.value for verdict in Verdict}}
    for _, labels in exported.samples:
        for label, value in labels:
            known.setdefault(label, set()).add(value)
    # Made up in tests, or given by Prometheus and kube-state-metrics.
    free = {"job", "instance", "version", "sqlstate", "namespace", "job_name", "condition"}
    for who, expression in expressions():
        for label, value in matchers_in(expression):
            assert label in free or value in known[label], f"{who} compares {label} with {value}"


def test_the_dashboard_shows_every_metric_of_our_own(exported: Scrape) -> None:
    shown = {
        name for panel in panels() for each in panel["targets"] for name in metrics_in(each["expr"])
    }
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in shown}
    assert {name for name in exported.families if name.startswith("featom_")} <= families
