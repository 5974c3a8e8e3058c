"""What a page of Markdown tells its reader to do."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.kit.serving import ROOT

RUN: Final = frozenset({"sh", "python", "sql"})
"""Languages of what a reader runs."""
SHOWN: Final = frozenset({"json", "text"})
"""Languages of what a reader is to see then."""

_FENCE: Final = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_FILE_HAS: Final = re.compile(r"`([\w.]+)` has\s*$")
_PRINTS: Final = re.compile(r"prints\s+`([^`]+)`")
_SAVED_AS: Final = re.compile(r"(?:as|in)\s+`(\w+\.py)`")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    before: str
    """The prose between the last block, or heading, and this one."""
    after: str
    """The prose from here to the next block or heading."""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """What the reader is to save it as."""
        names = _SAVED_AS.findall(self.before)
        return names[-1] if names else None

    @property
    def shows_file(self) -> str | None:
        """The file that it shows, if it is not what a command says."""
        found = _FILE_HAS.search(self.before)
        return found[1] if found else None

    @property
    def prints(self) -> str | None:
        """What the prose says that a run of it prints."""
        found = _PRINTS.search(self.after)
        return found[1] if found and self.language == "python" else None


class Section(NamedTuple):
    """A part of a page below a heading of the second level."""

    title: str
    blocks: list[Block]


def sections_of(page: str) -> list[Section]:
    """The sections of a page, in order; what comes before the first heading is one too."""
    text = (ROOT / page).read_text()
    starts = [0, *(found.start() for found in re.finditer(r"^## ", text, re.MULTILINE))]
    return [
        Section(text[start:end].partition("\n")[0], list(_blocks(page, text, start, end)))
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True)
    ]


def blocks_of(page: str) -> list[Block]:
    return [block for section in sections_of(page) for block in section.blocks]


def _blocks(page: str, text: str, start: int, end: int) -> Iterator[Block]:
    fences = list(_FENCE.finditer(text, start, end))
    begins = [start, *(each.end() for each in fences)]
    ends = [*(each.start() for each in fences), end]
    prose = [text[begin:until] for begin, until in zip(begins, ends, strict=True)]
    for fence, before, after in zip(fences, prose, prose[1:], strict=False):
        line = text.count("\n", 0, fence.start()) + 1
        yield Block(page, line, fence[1], fence[2], before, after)


def pages() -> list[str]:
    """All pages that tell their readers what to do; docs/adr tells why."""
    found: set[Path] = set()
    for pattern in ("*.md", "docs/*.md", "docs/runbooks/*.md", "*/README.md", "*/*/README.md"):
        found.update(ROOT.glob(pattern))
    return sorted(str(page.relative_to(ROOT)) for page in found)
