"""Who may talk to whom."""

from collections.abc import Iterator

from tests.deploy.command_line import settings_from
from tests.deploy.manifests import Manifests, name_of, pod_labels


def every_pod_is_behind_a_network_policy(objects: Manifests) -> Iterator[str]:
    for workload in objects.workloads:
        for direction in ("Ingress", "Egress"):
            closed = [
                policy
                for policy in objects.of("NetworkPolicy")
                if direction in policy["spec"]["policyTypes"]
                and policy["spec"]["podSelector"]["matchLabels"].items()
                <= pod_labels(workload).items()
            ]
            if not closed:
                yield f"{direction} of {name_of(workload)} is open to everybody"


def the_health_port_is_open_to_no_pod(objects: Manifests) -> Iterator[str]:
    for policy in objects.of("NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            for port in rule.get("ports", [{"port": "any"}]):
                if port["port"] in {"health", 50052, "any"}:
                    yield f"{name_of(policy)} opens the health port"


def metrics_are_scraped_by_prometheus_alone_and_only_if_they_are_served(
    objects: Manifests,
) -> Iterator[str]:
    settings = settings_from(objects.environment(objects.server))
    monitors = objects.of("ServiceMonitor")
    if bool(monitors) != (settings.metrics_listen is not None):
        yield f"metrics are served on {settings.metrics_listen}, and scraped by {len(monitors)}"
    for monitor in monitors:
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        services = [
            each for each in objects.of("Service") if wanted <= each["metadata"]["labels"].items()
        ]
        # More than one would count everything twice.
        if len(services) != 1:
            yield f"{name_of(monitor)} selects {[name_of(each) for each in services]}"
        for service in services:
            named = {port["name"] for port in service["spec"]["ports"]}
            if {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} - named:
                yield f"{name_of(monitor)} scrapes a port that {name_of(service)} has not"
    opened = [
        rule
        for policy in objects.of("NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if any(port["port"] in {"metrics", 9464} for port in rule.get("ports", []))
    ]
    if len(opened) != len(monitors):
        yield f"the metrics port is opened {len(opened)} times"
    for rule in opened:
        if not all(
            {"namespaceSelector", "podSelector"} <= source.keys() for source in rule["from"]
        ):
            yield "the metrics port is open to more than Prometheus"
