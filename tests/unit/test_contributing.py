"""The map of CONTRIBUTING, and the walk through the code, lead to files that there are."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "CONTRIBUTING.md").read_text()
MAP: Final = TEXT.partition("## Where to change what")[2].partition("\n## ")[0]
WALKTHROUGH: Final = (ROOT / "docs/walkthrough.md").read_text()
FILES: Final = sorted(set(re.findall(r"`([\w./]+/[\w.]+\.\w+)`", MAP + WALKTHROUGH)))


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_the_map_is_there(file: str) -> None:
    assert (ROOT / file).is_file()


def test_the_map_has_every_likely_change() -> None:
    assert len(re.findall(r"^\| (?!Change|-)", MAP, re.MULTILINE)) >= 20
    assert len(FILES) > 50


def test_every_package_is_in_the_layout() -> None:
    layout = TEXT.partition("## The layout")[2].partition("\n## ")[0]
    packages = {init.parent.name for init in ROOT.glob("*/__init__.py")} - {"tests"}
    named = set(re.findall(r"`(\w+)`", layout))
    assert packages - {"benchmarks", "deploy", "examples"} <= named
