"""How servers are reached and asked."""

from collections.abc import Iterator

from server.health.health import LIVENESS, READINESS
from tests.deploy.command_line import settings_from
from tests.deploy.manifests import Manifests, container_of, name_of


def services_have_selectors_of_their_own(objects: Manifests) -> Iterator[str]:
    selectors = [service["spec"]["selector"] for service in objects.of("Service")]
    for service in objects.of("Service"):
        if selectors.count(service["spec"]["selector"]) > 1:
            yield f"another Service has the selector of {name_of(service)}"


def services_select_one_workload_each_and_ports_that_it_has(objects: Manifests) -> Iterator[str]:
    for service in objects.of("Service"):
        selected = objects.selected(service["spec"]["selector"])
        if len(selected) != 1:
            yield f"{name_of(service)} selects {[name_of(each) for each in selected]}"
            continue
        named = {port["name"] for port in container_of(selected[0])["ports"]}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in named:
                yield f"{name_of(service)} leads to {port['targetPort']}, which is no port"


def the_statefulset_names_a_headless_service(objects: Manifests) -> Iterator[str]:
    for workload in objects.of("StatefulSet"):
        if "serviceName" not in workload["spec"]:
            continue
        service = objects.one("Service", workload["spec"]["serviceName"])
        if service["spec"].get("clusterIP") != "None":
            yield f"{name_of(service)} gives the pods of {name_of(workload)} no names"


def the_only_pod_of_a_service_keeps_its_name(objects: Manifests) -> Iterator[str]:
    """The name of a headless Service vanishes with its last ready pod, and that is cached."""
    for service in objects.of("Service"):
        (selected,) = objects.selected(service["spec"]["selector"])
        if service["spec"].get("clusterIP") == "None" and selected["spec"].get("replicas") == 1:
            yield f"{name_of(service)} cannot be resolved while its only pod is away"


def ports_are_those_of_the_settings(objects: Manifests) -> Iterator[str]:
    settings = settings_from(objects.environment(objects.server))
    assert settings.health_listen is not None
    wanted = {
        "grpc": int(settings.listen.rpartition(":")[2]),
        "health": int(settings.health_listen.rpartition(":")[2]),
    }
    if settings.metrics_listen is not None:
        wanted["metrics"] = int(settings.metrics_listen.rpartition(":")[2])
    ports = {port["name"]: port["containerPort"] for port in container_of(objects.server)["ports"]}
    if ports != wanted:
        yield f"the container has {ports}, the server {wanted}"


def probes_ask_the_health_port_for_services_that_exist(objects: Manifests) -> Iterator[str]:
    container = container_of(objects.server)
    listen = settings_from(objects.environment(objects.server)).health_listen
    assert listen is not None
    port = listen.rpartition(":")[2]
    wanted = {"startupProbe": LIVENESS, "livenessProbe": LIVENESS, "readinessProbe": READINESS}
    for probe, service in wanted.items():
        if container[probe]["grpc"] != {"port": int(port), "service": service}:
            yield f"the {probe} asks {container[probe]['grpc']}"


def what_runs_for_ever_has_every_probe(objects: Manifests) -> Iterator[str]:
    for workload in objects.of("StatefulSet", "Deployment"):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe not in container_of(workload):
                yield f"{name_of(workload)} has no {probe}"
