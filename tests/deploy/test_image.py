"""What the image is built from."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = ROOT / "deploy/docker/Dockerfile"
LOCKS: Final = sorted(path.name for path in ROOT.glob("requirements*.lock"))


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run((hadolint, DOCKERFILE), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_holds_the_versions_that_were_tested() -> None:
    tested = pins("requirements.lock")
    installed = pins("requirements-server.lock")
    assert installed
    assert {name: tested.get(name) for name in installed} == installed


def test_the_image_holds_all_that_the_server_needs_and_nothing_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[<>= ]", each)[0] for each in project["dependencies"]}
    installed = set(pins("requirements-server.lock"))
    assert needed <= installed
    for extra, names in project["optional-dependencies"].items():
        if extra in {"dev", "demo", "bench"}:
            assert not (set(names) - needed) & installed


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
    for entry in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]:
        assert re.match(r"\S+==\S+ (; [^\\]+)?\\\n +--hash=sha256:", entry)


def test_every_package_of_the_project_is_in_the_image() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    # The client has a wheel of its own.
    for folder in sorted({"client", *(package.partition("/")[0] for package in packages)}):
        assert f"COPY {folder} {folder}\n" in DOCKERFILE.read_text()
        assert f"!{folder}" in ignored
