"""Every overlay fits the schemas of every Kubernetes that it is meant for, to the last field."""

from typing import Final

import kubernetes_validate
import pytest

from deploy.kubernetes.render import OVERLAYS
from tests.deploy.manifests import manifests

VERSIONS: Final = ("1.34", "1.35", "1.36", "1.37")
# Of CloudNativePG and of Prometheus' operator, not of Kubernetes.
OF_OPERATORS: Final = {
    "aks-cnpg": ["Cluster"],
    "aks-cnpg+monitoring": ["Cluster", "PrometheusRule", "ServiceMonitor"],
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_fits_the_schemas(overlay: str, version: str) -> None:
    unknown = []
    for found in manifests(overlay):
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            unknown.append(found["kind"])
    assert sorted(unknown) == OF_OPERATORS.get(overlay, [])


def test_a_field_that_does_not_exist_is_found() -> None:
    (first, *_) = manifests("dev").of("StatefulSet")
    first["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(first, VERSIONS[-1], strict=True)


def test_there_is_something_to_check() -> None:
    assert set(OVERLAYS) == {"dev", "aks", "aks-cnpg", "aks-cnpg+monitoring", "aks-tokens"}
    assert all(len(manifests(overlay)) > 10 for overlay in OVERLAYS)
