"""Every overlay fits the schemas of every Kubernetes that it is meant for, to the last field."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest

from deploy.kubernetes.render import HERE, OVERLAYS
from tests.deploy.manifests import Object, manifests

VERSIONS: Final = ("1.34", "1.35", "1.36", "1.37")
# Of CloudNativePG and of Prometheus' operator, not of Kubernetes.
OF_OPERATORS: Final = {
    path.stem: jsonschema.Draft7Validator(json.loads(path.read_text()))
    for path in (Path(__file__).parent / "operator_schemas").glob("[A-Z]*.json")
}
EVERYTHING: Final = "aks-cnpg+monitoring"
# What they hold has keys of its users' own.
MAPS: Final = {"labels", "annotations", "matchLabels", "parameters", "requests", "limits"}


def check(found: Object, version: str) -> None:
    """Raises what the validator raises; KeyError if nobody has a schema of the kind."""
    try:
        kubernetes_validate.validate(found, version, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        OF_OPERATORS[found["kind"]].validate(found)


# What the oldest and the newest Kubernetes take, those between take too; one overlay shows it.
CASES = [(overlay, version) for overlay in OVERLAYS for version in (VERSIONS[0], VERSIONS[-1])]
CASES += [(EVERYTHING, version) for version in VERSIONS[1:-1]]


@pytest.mark.parametrize(("overlay", "version"), CASES)
def test_an_overlay_fits_the_schemas(overlay: str, version: str) -> None:
    for found in manifests(overlay):
        check(found, version)


def test_a_field_that_does_not_exist_is_found() -> None:
    (first, *_) = manifests("dev").of("StatefulSet")
    first["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        check(first, VERSIONS[-1])


def holders(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within, whose fields have names that the schema knows."""
    if isinstance(value, dict):
        yield value
        for name, each in value.items():
            if name not in MAPS:
                yield from holders(each)
    elif isinstance(value, list):
        for each in value:
            yield from holders(each)


@pytest.mark.parametrize("kind", OF_OPERATORS)
def test_every_field_of_an_operators_object_is_refused_when_it_is_misspelt(kind: str) -> None:
    (found,) = manifests(EVERYTHING).of(kind)
    check(found, VERSIONS[-1])
    for holder in list(holders(found)):
        for name in list(holder):
            holder[f"{name}x"] = holder.pop(name)
            with pytest.raises(jsonschema.ValidationError, match=f"{name}x"):
                OF_OPERATORS[kind].validate(found)
            holder[name] = holder.pop(f"{name}x")


@pytest.mark.parametrize(
    ("kind", "place", "wrong"),
    [
        ("Cluster", ("instances",), "3"),
        ("Cluster", ("instances",), 0),
        ("Cluster", ("postgresql", "synchronous", "number"), 1.5),
        ("Cluster", ("postgresql", "synchronous", "method"), "all"),
        ("Cluster", ("postgresql", "synchronous", "dataDurability"), "require"),
        ("Cluster", ("managed", "roles", 0, "ensure"), True),
        ("PrometheusRule", ("groups", 0, "rules", 0, "for"), "5 minutes"),
        ("ServiceMonitor", ("endpoints", 0, "interval"), "15"),
    ],
)
def test_a_value_that_an_operators_object_cannot_have_is_refused(
    kind: str, place: tuple[str | int, ...], wrong: object
) -> None:
    (found,) = manifests(EVERYTHING).of(kind)
    *path, last = place
    holder = found["spec"]
    for step in path:
        holder = holder[step]
    assert last in holder
    holder[last] = wrong
    with pytest.raises(jsonschema.ValidationError, match=re.escape(repr(wrong))):
        check(found, VERSIONS[-1])


def test_a_kind_that_nobody_has_a_schema_of_is_found() -> None:
    (rule,) = manifests(EVERYTHING).of("PrometheusRule")
    with pytest.raises(KeyError, match="Rule"):
        check(rule | {"kind": "Rule"}, VERSIONS[-1])


def test_there_is_something_to_check() -> None:
    assert {"dev", "aks", "aks-cnpg", "aks-tokens", EVERYTHING} < set(OVERLAYS)
    components = {name for overlay in OVERLAYS for name in overlay.split("+")[1:]}
    assert components == {each.name for each in (HERE / "components").iterdir()}
    assert all(len(manifests(overlay)) > 10 for overlay in OVERLAYS)
    assert set(OF_OPERATORS) == {"Cluster", "PrometheusRule", "ServiceMonitor"}
