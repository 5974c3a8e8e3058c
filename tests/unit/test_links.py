"""Links in the docs lead to files and headings that there are."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_LINK: Final = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")
_CODE: Final = re.compile(r"```.*?```", re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.*)$", re.MULTILINE)


def pages() -> list[str]:
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(set(listed.stdout.split()))


def anchor_of(heading: str) -> str:
    """As GitHub makes it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def broken(page: Path) -> Iterator[str]:
    text = _CODE.sub("", page.read_text())
    for target in _LINK.findall(text):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield target
        elif anchor and file.suffix == ".md":
            headings = _HEADING.findall(_CODE.sub("", file.read_text()))
            if anchor not in map(anchor_of, headings):
                yield target


@pytest.mark.parametrize("page", pages())
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    assert list(broken(ROOT / page)) == []
