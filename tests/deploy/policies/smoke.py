"""The smoke test is a client like any other: it gets through, is let in, and gets no further."""

from collections.abc import Iterator, Mapping
from typing import Final

from cli.smoke import ENTITY_TYPE
from server.access.authorization_file import read_grants
from server.access.permissions import Need, Permission
from tests.deploy.command_line import settings_from
from tests.deploy.manifests import Manifests, Object, container_of, name_of, pod_labels, pod_of

DNS: Final = 53


def the_smoke_test_asks_the_service_of_clients(objects: Manifests) -> Iterator[str]:
    for job in objects.smoke_tests:
        host, _, port = objects.environment(job).get("FEATOM_TARGET", "").rpartition(":")
        for service in objects.of("Service"):
            named = f"{name_of(service)}.{service['metadata']['namespace']}.svc"
            ports = {str(each["port"]) for each in service["spec"]["ports"]}
            balanced = service["spec"].get("clusterIP") != "None"
            if balanced and (named, port in ports) == (host, True):
                break
        else:
            yield f"{name_of(job)} asks {host}:{port}, which is no Service of clients"


def the_smoke_test_gets_to_the_servers_and_no_further(objects: Manifests) -> Iterator[str]:
    for job in objects.smoke_tests:
        labels, servers = pod_labels(job), pod_labels(objects.server)
        let_in = [
            rule
            for rule in _rules(objects, "ingress", servers)
            if any(port["port"] == "grpc" for port in rule["ports"])
            and any(_selects(source, labels) for source in rule["from"])
        ]
        if not let_in:
            yield f"the servers do not let {name_of(job)} in"
        ways: set[tuple[object, bool]] = set()
        for rule in _rules(objects, "egress", labels):
            to_servers = all(_selects(target, servers) for target in rule.get("to", [{}]))
            ways |= {(port["port"], to_servers) for port in rule["ports"]}
        listen = settings_from(objects.environment(objects.server)).listen
        if ways != {(int(listen.rpartition(":")[2]), True), (DNS, False)}:
            yield f"{name_of(job)} gets to {ways}"


def the_smoke_test_proves_what_the_servers_ask_for(objects: Manifests) -> Iterator[str]:
    settings = settings_from(objects.environment(objects.server))
    for job in objects.smoke_tests:
        environment = objects.environment(job)
        if (settings.tls_cert is not None) != ("FEATOM_CLIENT_TLS_CA" in environment):
            yield f"one of {name_of(job)} and the servers speaks TLS, the other does not"
        shown = _audience(job, environment.get("FEATOM_CLIENT_TOKEN_FILE", ""))
        if shown != (settings.jwt_audience or None):
            yield f"{name_of(job)} shows a token for {shown}, the servers {settings.jwt_audience}"
        for found in objects.of("ConfigMap"):
            if (grants := found["data"].get("authorization.yaml")) is not None:
                account = f"{job['metadata']['namespace']}:{pod_of(job)['serviceAccountName']}"
                needs = [Need(each, ENTITY_TYPE) for each in (Permission.READ, Permission.WRITE)]
                principal = f"jwt:system:serviceaccount:{account}"
                for need in read_grants(grants.encode()).refused(principal, needs):
                    yield f"{name_of(job)} is not granted {need}"


def _rules(objects: Manifests, direction: str, labels: Mapping[str, str]) -> Iterator[Object]:
    """The rules of a direction that apply to pods with these labels."""
    for policy in objects.of("NetworkPolicy"):
        if _selects(policy["spec"], labels):
            yield from policy["spec"].get(direction, [])


def _selects(peer: Object, labels: Mapping[str, str]) -> bool:
    """Whether a selector of pods of this namespace has those with these labels."""
    if "podSelector" not in peer or "namespaceSelector" in peer:
        return False
    wanted: Mapping[str, str] = peer["podSelector"]["matchLabels"]
    return wanted.items() <= labels.items()


def _audience(job: Object, file: str) -> str | None:
    """For whom the token in a file is; None if it is not mounted there."""
    for mount in container_of(job)["volumeMounts"]:
        for volume in pod_of(job)["volumes"]:
            for source in volume.get("projected", {}).get("sources", []):
                token = source.get("serviceAccountToken", {})
                path = f"{mount['mountPath']}/{token.get('path')}"
                if (volume["name"], path) == (mount["name"], file):
                    audience: str = token["audience"]
                    return audience
    return None
