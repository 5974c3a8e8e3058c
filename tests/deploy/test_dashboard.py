"""Grafana knows every field of the dashboard, as far as its own library can tell."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.observability.dashboard import dashboard

FIRST_NUMBER: Final = 1
FIRST_SERIES: Final = 6


@pytest.fixture(scope="module", autouse=True)
def panels_and_queries_have_their_own_types() -> None:
    register_default_plugins()


def understood(model: dict[str, Any]) -> Any:
    """What is left of a dashboard that was read by its types: a field that they lack is dropped."""
    return json.loads(JSONEncoder().encode(Dashboard.from_json(model)))


def missing(model: Any, left: Any, place: str = "") -> list[str]:
    """Where `model` has something that is not `left`; that has defaults besides."""
    if isinstance(model, dict) and isinstance(left, dict):
        return [
            each
            for name, value in model.items()
            for each in missing(value, left.get(name), f"{place}.{name}")
        ]
    if isinstance(model, list) and isinstance(left, list) and len(model) == len(left):
        return [
            each
            for number, (one, other) in enumerate(zip(model, left, strict=True))
            for each in missing(one, other, f"{place}.{number}")
        ]
    return [] if model == left else [place]


def test_grafanas_library_understands_the_whole_dashboard() -> None:
    model = json.loads(dashboard())
    assert [panel["type"] for panel in model["panels"]].index("stat") == FIRST_NUMBER
    assert [panel["type"] for panel in model["panels"]].index("timeseries") == FIRST_SERIES
    assert missing(model, understood(model)) == []


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        (lambda model: model, "graphTooltip"),
        (lambda model: model["templating"]["list"][1], "includeAll"),
        (lambda model: model["panels"][FIRST_NUMBER], "fieldConfig"),
        (lambda model: model["panels"][FIRST_NUMBER]["options"], "textMode"),
        (lambda model: model["panels"][FIRST_SERIES]["options"]["legend"], "showLegend"),
        (lambda model: model["panels"][FIRST_SERIES]["fieldConfig"]["defaults"], "unit"),
        (lambda model: model["panels"][FIRST_SERIES]["targets"][0], "legendFormat"),
    ],
)
def test_a_field_that_grafana_does_not_know_is_found(
    holder: Callable[[dict[str, Any]], dict[str, Any]], name: str
) -> None:
    model = json.loads(dashboard())
    fields = holder(model)
    fields[f"{name}x"] = fields.pop(name)
    (place,) = missing(model, understood(model))
    assert place.endswith(f".{name}x")
