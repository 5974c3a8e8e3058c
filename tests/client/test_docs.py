"""The Python of the pages about the client runs, one session a page, and prints what it should."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from tests.kit.serving import Server, serving

ROOT = Path(__file__).parents[2]
PAGES = {"docs/client.md": 9, "client/README.md": 0}
"""How many blocks of each must have an output that is printed."""
_BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def programs(page: Path) -> list[tuple[str, str | None]]:
    """The Python of a page, with the output that follows it."""
    blocks = _BLOCK.findall(page.read_text())
    following = [*blocks[1:], ("", "")]
    return [
        (text, after[1] if after[0] == "text" else None)
        for (language, text), after in zip(blocks, following, strict=True)
        if language == "python"
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_prints_what_it_says(database: str, page: str) -> None:
    found = programs(ROOT / page)
    assert found
    assert sum(output is not None for _, output in found) >= PAGES[page]
    with serving(database) as server:
        run(found, server, page)


def run(found: list[tuple[str, str | None]], server: Server, page: str) -> None:
    """One after the other, as a reader does who tries them."""
    names: dict[str, Any] = {}
    for text, expected in found:
        program = text.replace("127.0.0.1:50051", server.address)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, page, "exec"), names)
        if expected is not None:
            assert printed.getvalue() == expected
    if "client" in names:
        names["client"].close()
