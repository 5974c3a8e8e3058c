"""What an API server refuses although it fits the schemas."""

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from tests.deploy.manifests import (
    Manifests,
    Object,
    container_of,
    name_of,
    pod_labels,
    pod_of,
)

# RFC 1123; a Service's name is part of another, RFC 1035, and begins with a letter.
NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
SERVICE_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
PORT_NAME: Final = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?")
LABEL: Final = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")
QUANTITY: Final = re.compile(r"([0-9.]+)(m|[KMGT]i|[kMGT])?")
UNITS: Final = {
    **{"": Decimal(1), "m": Decimal("0.001")},
    **{unit: Decimal(1_000) ** power for power, unit in enumerate("kMGT", start=1)},
    **{f"{unit}i": Decimal(1_024) ** power for power, unit in enumerate("KMGT", start=1)},
}


def names_and_labels_are_well_formed(objects: Manifests) -> Iterator[str]:
    for found in objects:
        pattern = SERVICE_NAME if found["kind"] == "Service" else NAME
        if not pattern.fullmatch(name_of(found)):
            yield f"{name_of(found)} is no name of a {found['kind']}"
        for labels in _all(found, "labels", "matchLabels", "selector"):
            for label, value in labels.items():
                if not LABEL.fullmatch(label) or not LABEL_VALUE.fullmatch(str(value)):
                    yield f"{label}={value} of {name_of(found)} is no label"
        for key in found.get("data", {}):
            if not KEY.fullmatch(key):
                yield f"{key} of {name_of(found)} is no key"
    for workload in objects.workloads:
        for port in container_of(workload).get("ports", []):
            if not PORT_NAME.fullmatch(port["name"]):
                yield f"{port['name']} of {name_of(workload)} is no name of a port"


def names_within_an_object_are_unique(objects: Manifests) -> Iterator[str]:
    identities = Counter((found["apiVersion"], found["kind"], name_of(found)) for found in objects)
    yield from (f"{name} is there twice" for name, count in identities.items() if count > 1)
    for workload in objects.workloads:
        container = container_of(workload)
        for what, names in {
            "volume": [volume["name"] for volume in pod_of(workload)["volumes"]],
            "mount": [mount["mountPath"] for mount in container["volumeMounts"]],
            "port": [port["name"] for port in container.get("ports", [])],
            "variable": [variable["name"] for variable in container.get("env", [])],
        }.items():
            if len(set(names)) < len(names):
                yield f"{name_of(workload)} has a {what} twice: {names}"


def selectors_are_of_their_own_pods(objects: Manifests) -> Iterator[str]:
    for workload in objects.of("StatefulSet", "Deployment", "DaemonSet"):
        selector = workload["spec"]["selector"]["matchLabels"]
        if not selector.items() <= pod_labels(workload).items():
            yield f"{name_of(workload)} does not select its pods"


def requests_are_within_limits(objects: Manifests) -> Iterator[str]:
    for found in objects:
        for resources in _all(found, "resources"):
            for name, limit in resources.get("limits", {}).items():
                if _amount(resources["requests"][name]) > _amount(limit):
                    yield f"{name_of(found)} requests more {name} than it may have"


def _all(value: Any, *names: str) -> Iterator[Object]:
    """Every mapping of one of these names, anywhere."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in names and isinstance(each, dict) and "matchLabels" not in each:
                yield each
            yield from _all(each, *names)
    elif isinstance(value, list):
        for each in value:
            yield from _all(each, *names)


def _amount(quantity: object) -> Decimal:
    found = QUANTITY.fullmatch(str(quantity))
    assert found is not None, quantity
    return Decimal(found[1]) * UNITS[found[2] or ""]
