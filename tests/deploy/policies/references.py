"""What names something else, and whether that is there."""

import re
from collections.abc import Iterator
from typing import Final

from tests.deploy.manifests import Manifests, container_of, name_of, pod_of, strings

NAMESPACE: Final = "featom"
# Which Secrets others make: the operator of CloudNativePG for the cluster of this name, and
# cert-manager, or whoever makes certificates.
SECRETS_OF_OPERATORS: Final = frozenset({"featom-postgres-app", "featom-postgres-ca", "featom-tls"})
# After what each is named.
JOBS: Final = {
    "migrate": "migrate",
    "backfill": "backfill",
    "migrate --contract": "contract",
    "smoke": "smoke",
}


def everything_is_in_the_namespace_of_the_servers(objects: Manifests) -> Iterator[str]:
    for found in objects:
        if found["kind"] == "Namespace":
            continue
        if (namespace := found["metadata"].get("namespace")) != NAMESPACE:
            yield f"{found['kind']} {name_of(found)} is in the namespace {namespace}"


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


def jobs_are_the_images_and_can_be_applied_again(objects: Manifests) -> Iterator[str]:
    image = container_of(objects.server)["image"]
    build = image.rpartition(":")[2].replace(".", "-")
    for job in objects.of("Job"):
        if container_of(job)["image"] != image:
            yield f"{name_of(job)} is of another build than the server"
        kind = JOBS.get(" ".join(container_of(job)["args"]))
        if name_of(job) != f"featom-{kind}-{build}":
            yield f"{name_of(job)} should be named after {image}"
        for name in strings(pod_of(job)):
            if re.fullmatch(r"featom-.*-[a-z0-9]{10}", name):
                yield f"{name_of(job)} refers to {name}, and a Job cannot be changed"
