"""What every overlay must hold, beyond the schemas: each policy yields what is wrong, in words."""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from repository.postgres import PostgresOptions
from server.access.authorization_file import read_grants
from server.embedded_postgres.settings import SETTINGS
from server.health import LIVENESS, READINESS
from server.watched_files import ContentRefused
from tests.deploy.command_line import settings_from, variables
from tests.deploy.manifests import (
    Manifests,
    container_of,
    name_of,
    pod_labels,
    pod_of,
    strings,
)

Policy: TypeAlias = Callable[[Manifests], Iterator[str]]

NAMESPACE: Final = "featom"
# repository/pool.py gives each of the two pools five seconds to close.
CLOSING: Final = 10
# Which Secrets others make: the operator of CloudNativePG for the cluster of this name, and
# cert-manager, or whoever makes certificates.
SECRETS_OF_OPERATORS: Final = frozenset({"featom-postgres-app", "featom-postgres-ca", "featom-tls"})
# What the pod security standard "restricted" asks, which the namespace enforces.
OF_THE_HOST: Final = frozenset({"hostNetwork", "hostPID", "hostIPC", "hostUsers"})
RESTRICTED_VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
    | {"projected", "secret"}
)
CONNECTIONS_OF_THE_PROBE: Final = 1
# The migration, an operator's own, and whoever looks after the database.
CONNECTIONS_OF_OTHERS: Final = 10


def everything_is_in_the_namespace_of_the_servers(objects: Manifests) -> Iterator[str]:
    for found in objects:
        if found["kind"] == "Namespace":
            continue
        if (namespace := found["metadata"].get("namespace")) != NAMESPACE:
            yield f"{found['kind']} {name_of(found)} is in the namespace {namespace}"


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
        service = objects.one("Service", workload["spec"]["serviceName"])
        if service["spec"].get("clusterIP") != "None":
            yield f"{name_of(service)} gives the pods of {name_of(workload)} no names"


def the_server_claims_no_volume(objects: Manifests) -> Iterator[str]:
    if "volumeClaimTemplates" in objects.server["spec"]:
        yield "the server keeps nothing, so it needs no volume"


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


def the_grace_period_holds_the_whole_drain(objects: Manifests) -> Iterator[str]:
    settings = settings_from(objects.environment(objects.server))
    pause = container_of(objects.server)["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = pause + settings.seconds_to_be_noticed + settings.drain_grace + CLOSING
    given = pod_of(objects.server)["terminationGracePeriodSeconds"]
    if given < needed:
        yield f"a drain takes up to {needed} s and is cut off after {given} s"
    # Nothing is drained before the endpoints are out of the way.
    if pause < 1 or settings.seconds_to_be_noticed <= 0:
        yield "the drain begins before load balancers can know of it"


def variables_are_those_of_the_command(objects: Manifests) -> Iterator[str]:
    for workload in (objects.server, objects.migration):
        (command,) = container_of(workload)["args"]
        for name in sorted(set(objects.environment(workload)) - variables(command)):
            yield f"`featom {command}` knows no {name}"


def the_server_has_a_database_and_never_one_of_its_own(objects: Manifests) -> Iterator[str]:
    for workload in (objects.server, objects.migration):
        if not objects.environment(workload).get("FEATOM_DSN"):
            yield f"{name_of(workload)} has no FEATOM_DSN"


def the_servers_connect_as_a_role_that_the_migration_grants_to(objects: Manifests) -> Iterator[str]:
    server, migration = objects.environment(objects.server), objects.environment(objects.migration)
    role = urlsplit(server.get("FEATOM_DSN", "")).username
    if role == urlsplit(migration.get("FEATOM_DSN", "")).username:
        yield f"servers and migration are both {role}, so servers could change the schema"
    if role != migration.get("FEATOM_APP_ROLE"):
        yield f"the servers are {role}, the migration grants to {migration.get('FEATOM_APP_ROLE')}"


def no_secret_is_written_down(objects: Manifests) -> Iterator[str]:
    generated = {
        base64.b64decode(value).decode()
        for secret in objects.of("Secret")
        for key, value in secret.get("data", {}).items()
        if key != "username"
    }
    for found in objects:
        if found["kind"] == "Secret":
            continue
        for text in strings(found):
            if any(value in text for value in generated):
                yield f"{name_of(found)} shows what a Secret holds"
            if "://" in text and urlsplit(text).password is not None:
                yield f"{name_of(found)} has an address with a password"
    for workload in objects.workloads:
        for name, value in objects.environment(workload).items():
            secret = re.search(r"PASSWORD|SECRET|TOKEN|KEY", name)
            if secret and not value.startswith(("/", "file:/")) and value != "entra":
                yield f"{name_of(workload)} has a literal {name}"


def images_have_tags_that_stay(objects: Manifests) -> Iterator[str]:
    for workload in objects.workloads:
        image: str = container_of(workload)["image"]
        _, colon, tag = image.rpartition("/")[2].partition(":")
        if "@sha256:" not in image and (not colon or tag in {"", "latest"}):
            yield f"{name_of(workload)} runs {image}"


def the_migration_is_the_images_and_can_be_applied_again(objects: Manifests) -> Iterator[str]:
    image = container_of(objects.server)["image"]
    if container_of(objects.migration)["image"] != image:
        yield "the migration is of another build than the server"
    build = image.rpartition(":")[2].replace(".", "-")
    if name_of(objects.migration) != f"featom-migrate-{build}":
        yield f"{name_of(objects.migration)} should be named after {image}"
    for name in strings(pod_of(objects.migration)):
        if re.fullmatch(r"featom-.*-[a-z0-9]{10}", name):
            yield f"the migration refers to {name}, and a Job cannot be changed"


def what_is_referred_to_is_there(objects: Manifests) -> Iterator[str]:
    secrets = {name_of(each) for each in objects.of("Secret")} | SECRETS_OF_OPERATORS
    config_maps = {name_of(each) for each in objects.of("ConfigMap")}
    accounts = {name_of(each) for each in objects.of("ServiceAccount")}
    for workload in objects.workloads:
        pod = pod_of(workload)
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        volumes |= {name_of(each) for each in workload["spec"].get("volumeClaimTemplates", [])}
        for mount in container_of(workload)["volumeMounts"]:
            if mount["name"] not in volumes:
                yield f"{name_of(workload)} mounts {mount['name']}, which is no volume"
        for volume in pod.get("volumes", []):
            if "secret" in volume and volume["secret"]["secretName"] not in secrets:
                yield f"{name_of(workload)} takes a Secret that nobody makes"
            if "configMap" in volume and volume["configMap"]["name"] not in config_maps:
                yield f"{name_of(workload)} mounts a ConfigMap that there is not"
        if pod["serviceAccountName"] not in accounts:
            yield f"{name_of(workload)} has no service account"


def files_of_passwords_are_mounted(objects: Manifests) -> Iterator[str]:
    for workload in objects.workloads:
        mounts = [mount["mountPath"] for mount in container_of(workload)["volumeMounts"]]
        for name, value in objects.environment(workload).items():
            for path in re.findall(r"(?:^|file:|sslrootcert=)(/run/secrets/[^&]+)", value):
                if path.rpartition("/")[0] not in mounts:
                    yield f"{name_of(workload)}: {name} names {path}, which is not mounted"


def files_of_the_server_are_mounted(objects: Manifests) -> Iterator[str]:
    environment = objects.environment(objects.server)
    mounts = [mount["mountPath"] for mount in container_of(objects.server)["volumeMounts"]]
    for name in ("TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "AUTHORIZATION"):
        path = environment.get(f"FEATOM_{name}")
        if path is not None and not any(path.startswith(f"{mount}/") for mount in mounts):
            yield f"FEATOM_{name} names {path}, where nothing is mounted"


def the_authorization_file_is_one_that_the_server_takes(objects: Manifests) -> Iterator[str]:
    for found in objects.of("ConfigMap"):
        for name, content in found["data"].items():
            if name == "authorization.yaml":
                try:
                    read_grants(content.encode())
                except ContentRefused as error:
                    yield f"{name_of(found)}: {error}"


def pods_are_restricted(objects: Manifests) -> Iterator[str]:
    for workload in objects.workloads:
        pod, container = pod_of(workload)["securityContext"], container_of(workload)
        context = container["securityContext"]
        holds = {
            "a uid of its own": pod["runAsNonRoot"] and pod["runAsUser"] > 10_000,
            "the default seccomp profile": pod["seccompProfile"] == {"type": "RuntimeDefault"},
            "a read-only root": context["readOnlyRootFilesystem"],
            "no more privileges": context["allowPrivilegeEscalation"] is False,
            "no capabilities": context["capabilities"] == {"drop": ["ALL"]},
            "no token": pod_of(workload)["automountServiceAccountToken"] is False,
            "nothing of the host": not OF_THE_HOST & pod_of(workload).keys()
            and not any("hostPort" in port for port in container.get("ports", [])),
            "no volume of the host": all(
                volume.keys() <= {"name", *RESTRICTED_VOLUMES}
                for volume in pod_of(workload)["volumes"]
            ),
            "no container besides": not pod_of(workload).keys() & {"initContainers"},
            "requests and limits": all(
                container["resources"][bound].keys() >= {"cpu", "memory"}
                for bound in ("requests", "limits")
            ),
        }
        for what, held in holds.items():
            if not held:
                yield f"{name_of(workload)} lacks {what}"


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


def servers_are_spread_and_at_most_one_is_disrupted(objects: Manifests) -> Iterator[str]:
    labels = pod_labels(objects.server).items()
    for spread in pod_of(objects.server)["topologySpreadConstraints"]:
        if not spread["labelSelector"]["matchLabels"].items() <= labels:
            yield f"{spread['topologyKey']} spreads other pods"
    (budget,) = objects.of("PodDisruptionBudget")
    if objects.selected(budget["spec"]["selector"]["matchLabels"]) != [objects.server]:
        yield "the disruption budget is not of the servers alone"
    if budget["spec"].get("maxUnavailable") != 1:
        yield "the disruption budget is not one server"


def the_autoscaler_alone_sets_the_number_of_servers(objects: Manifests) -> Iterator[str]:
    for scaler in objects.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if "replicas" in objects.one(target["kind"], target["name"])["spec"]:
            yield f"an apply sets the number of {target['name']} back"


def the_database_allows_the_connections_of_all_servers(objects: Manifests) -> Iterator[str]:
    settings = settings_from(objects.environment(objects.server))
    scalers = objects.of("HorizontalPodAutoscaler")
    servers = scalers[0]["spec"]["maxReplicas"] if scalers else objects.server["spec"]["replicas"]
    each = PostgresOptions(lanes=settings.lanes, readers=settings.readers).connections
    needed = servers * (each + CONNECTIONS_OF_THE_PROBE) + CONNECTIONS_OF_OTHERS
    parameters = objects.database_parameters
    if parameters and needed > (allowed := int(parameters.get("max_connections", "100"))):
        yield f"{servers} servers need {needed} connections, the database allows {allowed}"


def the_database_has_the_predicate_locks_of_the_embedded_one(objects: Manifests) -> Iterator[str]:
    parameter = "max_pred_locks_per_transaction"
    parameters = objects.database_parameters
    if parameters and parameters.get(parameter) != SETTINGS[parameter]:
        yield f"{parameter} is not {SETTINGS[parameter]}"


def a_database_is_brought_unless_it_is_azures(objects: Manifests) -> Iterator[str]:
    outside = ".azure.com" in objects.environment(objects.server)["FEATOM_DSN"]
    if outside == bool(objects.database_parameters):
        yield "a database is brought and not used, or used and not brought"
