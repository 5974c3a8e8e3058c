"""What pods may do, and how many there are of them where."""

from collections.abc import Iterator
from typing import Final

import repository.postgres
import server.access.audit_log
from cli.migrate import PENDING
from server.tracing.provider import FLUSH
from tests.deploy.command_line import settings_from
from tests.deploy.manifests import Manifests, container_of, name_of, pod_labels, pod_of

# What comes after the calls, each with the bound that it sets itself. The ports close at once.
CLOSING: Final = repository.postgres.CLOSING + server.access.audit_log.CLOSING + FLUSH
TO_SPARE: Final = 5
ASKED_AGAIN: Final = 30
"""Seconds after which gRPC asks DNS again at the earliest, unless a client says otherwise."""
CACHED: Final = 30
"""Seconds for which CoreDNS may answer from its cache, as it is set up in most clusters."""
RESTARTED_WITHIN: Final = 40
# What the pod security standard "restricted" asks, which the namespace enforces.
OF_THE_HOST: Final = frozenset({"hostNetwork", "hostPID", "hostIPC", "hostUsers"})
RESTRICTED_VOLUMES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
    | {"projected", "secret"}
)


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


def images_have_tags_that_stay(objects: Manifests) -> Iterator[str]:
    images = {name_of(each): container_of(each)["image"] for each in objects.workloads}
    # Without one the operator chooses, and a new operator chooses anew.
    clusters = objects.of("Cluster")
    images |= {name_of(each): each["spec"].get("imageName", "whatever") for each in clusters}
    for name, image in images.items():
        _, colon, tag = image.rpartition("/")[2].partition(":")
        if "@sha256:" not in image and (not colon or tag in {"", "latest"}):
            yield f"{name} runs {image}"


def a_migration_that_has_to_wait_is_no_failure(objects: Manifests) -> Iterator[str]:
    job = objects.migration["spec"]
    exits = [
        rule["onExitCodes"]
        for rule in job.get("podFailurePolicy", {"rules": []})["rules"]
        if rule["action"] == "Ignore" and "onExitCodes" in rule
    ]
    wanted = {
        "containerName": container_of(objects.migration)["name"],
        "operator": "In",
        "values": [PENDING],
    }
    if exits != [wanted]:
        yield f"{name_of(objects.migration)} fails for good while it has to wait"
    # The API server refuses such a policy with any other.
    if pod_of(objects.migration)["restartPolicy"] != "Never":
        yield f"{name_of(objects.migration)} is started again in its pod"


def the_server_claims_no_volume(objects: Manifests) -> Iterator[str]:
    if "volumeClaimTemplates" in objects.server["spec"]:
        yield "the server keeps nothing, so it needs no volume"


def the_grace_period_holds_the_whole_drain(objects: Manifests) -> Iterator[str]:
    settings = settings_from(objects.environment(objects.server))
    pause = container_of(objects.server)["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = pause + settings.seconds_to_be_noticed + settings.drain_grace + CLOSING + TO_SPARE
    given = pod_of(objects.server)["terminationGracePeriodSeconds"]
    if given < needed:
        yield f"a drain takes up to {needed} s and is cut off after {given} s"
    # Nothing is drained before the endpoints are out of the way.
    if pause < 1 or settings.seconds_to_be_noticed <= 0:
        yield "the drain begins before load balancers can know of it"


def clients_know_a_new_server_before_the_next_old_one_goes(objects: Manifests) -> Iterator[str]:
    ready = objects.server["spec"].get("minReadySeconds", 0)
    if ready <= ASKED_AGAIN + CACHED:
        yield f"old servers go {ready} s after new ones are ready: not every client knows these"


def a_server_that_hangs_is_soon_restarted(objects: Manifests) -> Iterator[str]:
    for workload in objects.of("StatefulSet", "Deployment"):
        probe = container_of(workload)["livenessProbe"]
        if "grpc" not in probe:
            continue  # a database takes the time that it needs
        grace = probe.get(
            "terminationGracePeriodSeconds", pod_of(workload)["terminationGracePeriodSeconds"]
        )
        seconds = probe["periodSeconds"] * probe["failureThreshold"] + grace
        if seconds > RESTARTED_WITHIN:
            yield f"{name_of(workload)} is restarted {seconds} s after it began to hang"


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
