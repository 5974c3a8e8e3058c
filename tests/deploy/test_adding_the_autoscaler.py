"""deploy/README.md says how the autoscaler takes over servers that run: none of them stops.

What is asked of the API server is what the real kubectl makes of the README's commands.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from deploy.kubernetes.render import HERE, KUBECTL
from tests.deploy.manifests import Object, manifests
from tests.deploy.recording_api_server import ApiServer, recording

README: Final = HERE.parent / "README.md"
SECTION: Final = "## Adding the autoscaler to servers that run"


def commands() -> list[str]:
    section = README.read_text().partition(SECTION)[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def before() -> Object:
    return manifests("dev").server


def after() -> Object:
    return manifests("dev+monitoring+tokens+autoscaling").server


@pytest.fixture
def api_server() -> Iterator[ApiServer]:
    with recording(before()) as server:
        yield server


@pytest.fixture
def shell(api_server: ApiServer, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell whose kubectl asks this API server, and no other."""
    config = tmp_path / "config"
    cluster = {"name": "test", "cluster": {"server": api_server.url}}
    context = {"name": "test", "context": {"cluster": "test", "user": ""}}
    told = {"clusters": [cluster], "contexts": [context], "current-context": "test"}
    config.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config"} | told))
    path = f"{KUBECTL.parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "KUBECONFIG": str(config), "HOME": str(tmp_path)}


def run(command: str, shell: dict[str, str]) -> None:
    subprocess.run(["sh", "-ec", command], env=shell, check=True, timeout=300)


def apply(statefulset: Object, shell: dict[str, str], folder: Path) -> None:
    manifest = folder / "statefulset.json"
    manifest.write_text(json.dumps(statefulset))
    run(f"kubectl apply --validate=false -f {manifest}", shell)


def test_without_more_an_apply_takes_the_number_of_servers_away(
    api_server: ApiServer, shell: dict[str, str], tmp_path: Path
) -> None:
    """Which Kubernetes takes for 1: the reason for all of this."""
    apply(after(), shell, tmp_path)
    (patch,) = api_server.patches
    assert patch.content["spec"]["replicas"] is None


def test_once_handed_over_an_apply_leaves_the_number_of_servers_alone(
    api_server: ApiServer, shell: dict[str, str], tmp_path: Path
) -> None:
    handing_over = commands()[0].partition("kubectl apply -k")[0]
    run(handing_over, shell)
    (patch,) = api_server.patches
    assert patch.content.keys() == {"metadata"}
    apply(after(), shell, tmp_path)
    *_, patch = api_server.patches
    assert patch.kind == "application/strategic-merge-patch+json"
    assert "replicas" not in patch.content.get("spec", {})


def test_for_server_side_appliers_another_manager_holds_the_number_of_servers(
    api_server: ApiServer, shell: dict[str, str]
) -> None:
    run(commands()[1], shell)
    (patch,) = api_server.patches
    assert patch.kind == "application/apply-patch+yaml"
    assert patch.manager not in {"kubectl", "kustomize-controller", "argocd-controller"}
    server = before()
    metadata = {name: server["metadata"][name] for name in ("name", "namespace")}
    held = {name: server[name] for name in ("apiVersion", "kind")} | {"metadata": metadata}
    assert patch.content == held | {"spec": {"replicas": 3}}
