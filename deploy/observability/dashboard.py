"""The dashboard for Grafana: `python -m deploy.observability.dashboard` writes dashboard.json."""

import json
from pathlib import Path
from typing import Any, Final

from deploy.observability.panels import ROWS, Panel

FILE: Final = Path(__file__).with_name("dashboard.json")
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

_WIDTH: Final = 24
_HEIGHT: Final = 8
_NUMBER_HEIGHT: Final = 4


def dashboard() -> str:
    """The text of dashboard.json."""
    model = {
        "title": "Featom",
        "uid": "featom",
        "description": "One page: is it well, how much, how fast, and what it waits for.",
        "tags": ["featom", "grpc", "postgresql"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": _panels(),
    }
    return json.dumps(model, indent=2, ensure_ascii=False) + "\n"


def _variables() -> list[dict[str, Any]]:
    """Which Prometheus, and which servers."""
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        _values_of("job", "Job", "featom_build_info"),
        _values_of("instance", "Server", 'featom_build_info{job=~"$job"}'),
    ]


def _values_of(label: str, title: str, series: str) -> dict[str, Any]:
    return {
        "name": label,
        "label": title,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": f"label_values({series}, {label})", "refId": label},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def _panels() -> list[dict[str, Any]]:
    """All panels, below each other by rows."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in ROWS:
        place = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
        panels.append(
            {"type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": place}
        )
        y += 1
        width = _WIDTH // len(row.panels)
        height = _NUMBER_HEIGHT if all(panel.is_number for panel in row.panels) else _HEIGHT
        for number, panel in enumerate(row.panels):
            place = {"x": number * width, "y": y, "w": width, "h": height}
            panels.append(_panel(panel) | {"gridPos": place})
        y += height
    return [panel | {"id": number} for number, panel in enumerate(panels, start=1)]


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": "stat" if panel.is_number else "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": _number_options() if panel.is_number else _series_options(),
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATASOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for number, query in enumerate(panel.queries)
        ],
    }


def _number_options() -> dict[str, Any]:
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name",
        "colorMode": "none",
        "graphMode": "none",
    }


def _series_options() -> dict[str, Any]:
    return {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


if __name__ == "__main__":
    FILE.write_text(dashboard())
