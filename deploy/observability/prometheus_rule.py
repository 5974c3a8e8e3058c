"""The alerts for Prometheus' operator: `python -m deploy.observability.prometheus_rule` writes them
into the component `monitoring` of the manifests.
"""

from pathlib import Path
from typing import Final

import yaml

ALERTS: Final = Path(__file__).with_name("alerts.yaml")
FILE: Final = Path(__file__).parents[1] / "kubernetes/components/monitoring/prometheus-rule.yaml"
_HEADER: Final = """\
# Made from deploy/observability/alerts.yaml by `make alerts`; never edited.
"""


def prometheus_rule() -> str:
    """The text of prometheus-rule.yaml."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "featom", "labels": {"app.kubernetes.io/name": "featom"}},
        "spec": yaml.safe_load(ALERTS.read_text()),
    }
    return _HEADER + yaml.safe_dump(rule, sort_keys=False, width=1_000)


if __name__ == "__main__":
    FILE.write_text(prometheus_rule())
