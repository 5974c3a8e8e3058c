"""Rendered manifests, and the ways to look things up in them."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypeAlias

import yaml

from deploy.kubernetes.render import render

Object: TypeAlias = dict[str, Any]
Labels: TypeAlias = Mapping[str, str]

WORKLOADS = ("StatefulSet", "Deployment", "DaemonSet", "Job")


class Manifests(list[Object]):
    """All objects of an overlay."""

    def of(self, *kinds: str) -> list[Object]:
        return [found for found in self if found["kind"] in kinds]

    def one(self, kind: str, name: str) -> Object:
        (found,) = (each for each in self.of(kind) if name_of(each) == name)
        return found

    @property
    def workloads(self) -> list[Object]:
        return self.of(*WORKLOADS)

    @property
    def server(self) -> Object:
        """A StatefulSet, or with the component `deployment` a Deployment."""
        (found,) = (
            each for each in self.of("StatefulSet", "Deployment") if name_of(each) == "featom"
        )
        return found

    @property
    def migration(self) -> Object:
        """The Job of the owner of the schema: the migration, or a later step of an upgrade."""
        (found,) = (job for job in self.of("Job") if job not in self.smoke_tests)
        return found

    @property
    def smoke_tests(self) -> list[Object]:
        """One with the component `smoke`, otherwise none."""
        return [job for job in self.of("Job") if container_of(job).get("args") == ["smoke"]]

    @property
    def database_parameters(self) -> Labels:
        """What the manifests set in a PostgreSQL that they bring; empty if it is outside."""
        for cluster in self.of("Cluster"):
            parameters: Labels = cluster["spec"]["postgresql"]["parameters"]
            return parameters
        for database in self.of("StatefulSet"):
            if name_of(database) == "featom-postgres":
                options = container_of(database)["args"]
                return dict(option.split("=") for option in options if option != "-c")
        return {}

    def selected(self, selector: Labels) -> list[Object]:
        """The workloads whose pods have these labels."""
        return [each for each in self.workloads if selector.items() <= pod_labels(each).items()]

    def environment(self, workload: Object) -> dict[str, str]:
        """What the container of a workload finds in its environment, of ConfigMaps and literals."""
        container = container_of(workload)
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
        return found | {each["name"]: each["value"] for each in container.get("env", [])}


def manifests(overlay: str) -> Manifests:
    """Anew each time, so that a test may change them."""
    return Manifests(yaml.safe_load_all(_rendered(overlay)))


@cache
def _rendered(overlay: str) -> str:
    return render(overlay)


def name_of(found: Object) -> str:
    name: str = found["metadata"]["name"]
    return name


def pod_of(workload: Object) -> Object:
    pod: Object = workload["spec"]["template"]["spec"]
    return pod


def pod_labels(workload: Object) -> Labels:
    labels: Labels = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def container_of(workload: Object) -> Object:
    """Each workload here has one."""
    (container,) = pod_of(workload)["containers"]
    found: Object = container
    return found


def strings(value: object) -> Iterator[str]:
    """Every string anywhere in an object."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
