"""What deploy/README.md tells one to write above an overlay does what it says."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from deploy.kubernetes.render import HERE, KUBECTL
from tests.deploy.manifests import Manifests, container_of, manifests, name_of, pod_of

README: Final = HERE.parent / "README.md"
DIGEST: Final = "sha256:" + "0" * 64
TOKENS: Final = """
resources: [../kubernetes/overlays/aks-tokens]
configMapGenerator:
  - name: featom-settings
    behavior: merge
    literals: [FEATOM_JWT_ISSUER=https://mine/]
  - name: featom-authorization
    behavior: replace
    files: [authorization.yaml]
"""


def blocks() -> list[str]:
    """What the README prints."""
    return re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)


def rendered(kustomization: str, folder: Path) -> Manifests:
    """An overlay beside a copy of ours."""
    shutil.copytree(HERE, folder / "kubernetes")
    (folder / "own").mkdir()
    (folder / "own/kustomization.yaml").write_text(kustomization)
    (folder / "own/authorization.yaml").write_text("grants: []\n")
    command = (KUBECTL, "kustomize", folder / "own")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return Manifests(yaml.safe_load_all(done.stdout))


def test_the_overlay_of_the_readme_runs_the_image_that_was_pushed(tmp_path: Path) -> None:
    printed = blocks()[0]
    for placeholder, value in {
        "<path>/deploy": "..",
        "<registry>": "registry.example.org",
        "sha256:<as pushed>": DIGEST,
    }.items():
        assert placeholder in printed
        printed = printed.replace(placeholder, value)
    objects = rendered(printed, tmp_path)
    for workload in (objects.server, objects.migration):
        assert container_of(workload)["image"] == f"registry.example.org/featom@{DIGEST}"


@pytest.mark.parametrize(
    ("job", "args"), [("backfill", ["backfill"]), ("contract", ["migrate", "--contract"])]
)
def test_a_later_step_of_an_upgrade_is_the_migration_with_another_command(
    job: str, args: list[str], tmp_path: Path
) -> None:
    (printed,) = (each for each in blocks() if "components/backfill" in each)
    printed = printed.replace("<yours>", "../kubernetes/overlays/aks").replace(
        "<path>/deploy", ".."
    )
    objects = rendered(printed.replace("backfill]", f"{job}]"), tmp_path)
    before = manifests("aks")
    assert container_of(objects.migration).pop("args") == args
    assert container_of(before.migration).pop("args") == ["migrate"]
    assert name_of(objects.migration) == name_of(before.migration).replace("migrate", job)
    assert objects.migration["spec"]["template"] == before.migration["spec"]["template"]
    # Nothing else changes when it is applied.
    assert [each for each in objects if each["kind"] != "Job"] == [
        each for each in before if each["kind"] != "Job"
    ]


@pytest.mark.parametrize("component", ["smoke", "smoke-tokens"])
def test_the_smoke_test_is_of_the_image_that_runs_and_nothing_else_is_new(
    component: str, tmp_path: Path
) -> None:
    (printed,) = (each for each in blocks() if "components/smoke" in each)
    overlay = "../kubernetes/overlays/aks-tokens"
    mine = (
        f"resources: [{overlay}]\nimages: [{{name: featom, newName: r/featom, digest: {DIGEST}}}]"
    )
    yours = tmp_path / "yours"
    yours.mkdir()
    (yours / "kustomization.yaml").write_text(mine)
    printed = printed.replace("smoke]", f"{component}]")
    objects = rendered(
        printed.replace("<yours>", "../yours").replace("<path>/deploy", ".."), tmp_path
    )
    (job,) = objects.smoke_tests
    assert (
        container_of(job)["image"] == f"r/featom@{DIGEST}" == container_of(objects.server)["image"]
    )
    new = {(each["kind"], name_of(each)) for each in objects}
    new -= {(each["kind"], name_of(each)) for each in manifests("aks-tokens")}
    assert new == {
        ("Job", name_of(job)),
        ("NetworkPolicy", "featom-smoke"),
        ("ServiceAccount", "featom-smoke"),
    }


def test_alerts_lead_to_the_runbooks_of_whoever_deploys_them(tmp_path: Path) -> None:
    (printed,) = (each for each in blocks() if "runbook_url" in each)
    beneath = "resources: [../kubernetes/overlays/aks]\n"
    beneath += "components: [../kubernetes/components/monitoring]\n"
    place = "wiki.example.org/featom/runbooks"
    objects = rendered(beneath + printed.replace("<host and path>", place), tmp_path)
    (rule,) = objects.of("PrometheusRule")
    for group in rule["spec"]["groups"]:
        for alert in group["rules"]:
            wanted = f"https://{place}/{alert['alert']}.md"
            assert alert["annotations"]["runbook_url"] == wanted
    assert "runbooks" not in {name_of(each) for each in objects.of("ConfigMap")}


def test_settings_above_a_component_have_the_last_word(tmp_path: Path) -> None:
    objects = rendered(TOKENS, tmp_path)
    settings = objects.environment(objects.server)
    assert settings["FEATOM_JWT_ISSUER"] == "https://mine/"
    assert settings["FEATOM_JWT_AUDIENCE"] == "featom"
    # Its name is what the servers mount, so a change is read without a rollout.
    (grants,) = [
        volume["configMap"]["name"]
        for volume in pod_of(objects.server)["volumes"]
        if volume["name"] == "authorization"
    ]
    assert objects.one("ConfigMap", grants)["data"] == {"authorization.yaml": "grants: []\n"}
    assert grants == "featom-authorization"
    assert {each["metadata"].get("namespace") for each in objects.of("ConfigMap")} == {"featom"}
