"""Examples of manifests name what is there."""

from typing import Any, Final

import yaml

from server.main import SERVICES
from tests.deploy.manifests import manifests
from tests.deploy.test_image import ROOT

ROUTE: Final = ROOT / "deploy/kubernetes/examples/grpc-route.yaml"


def test_the_route_leads_to_a_port_of_a_service_and_to_methods_of_the_contract() -> None:
    route: Any = yaml.safe_load(ROUTE.read_text())
    (rule,) = route["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    service = manifests("dev").one("Service", backend["name"])
    assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert service["metadata"]["namespace"] == route["metadata"]["namespace"]
    matched = {match["method"]["service"] for match in rule["matches"]}
    assert matched == {"grpc.health.v1.Health", *(service.full_name for service in SERVICES)}
