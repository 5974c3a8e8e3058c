"""Every place that names the version names the same one, and one command writes them all."""

import shutil
from pathlib import Path

import pytest

from deploy import version


def test_every_place_names_the_same_version() -> None:
    assert len({named for _, named in version.versions()}) == 1


def test_no_other_manifest_names_a_version() -> None:
    (named,) = {named for _, named in version.versions()}
    kubernetes = version.ROOT / "deploy/kubernetes"
    naming = {
        str(path.relative_to(version.ROOT))
        for path in kubernetes.rglob("*.yaml")
        if named in path.read_text() or named.replace(".", "-") in path.read_text()
    }
    assert naming <= set(version.PLACES)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for place in version.PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(version.ROOT / place, tmp_path / place)
    monkeypatch.setattr(version, "ROOT", tmp_path)
    return tmp_path


def test_one_command_names_another_version_everywhere(copied: Path) -> None:
    version.write("12.0.3")
    assert {named for _, named in version.versions()} == {"12.0.3"}
    assert "featom-migrate-12-0-3" in (copied / "deploy/kubernetes/base/migration.yaml").read_text()


@pytest.mark.parametrize("wrong", ["", "1.2", "v1.2.3", "1.2.3-rc1"])
def test_what_is_no_version_is_refused_and_nothing_is_written(copied: Path, wrong: str) -> None:
    before = dict(version.versions())
    with pytest.raises(ValueError, match="three numbers"):
        version.write(wrong)
    assert dict(version.versions()) == before
