"""Files that change while the server runs: what is new counts, what is broken does not."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from server.process.watched_files import ContentRefused, Reloads, WatchedFiles
from server.settings import SettingsRefused


def numbers(contents: Sequence[bytes]) -> list[int]:
    try:
        return [int(content) for content in contents]
    except ValueError as error:
        raise ContentRefused(str(error)) from error


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one", tmp_path / "two"]
    for number, path in enumerate(paths, 1):
        path.write_text(str(number))
    return paths


def test_files_are_loaded_in_their_order(files: list[Path]) -> None:
    assert WatchedFiles("numbers", files, numbers).current == [1, 2]


def test_what_changes_is_loaded_anew_and_nothing_else_is(files: list[Path]) -> None:
    watched = WatchedFiles("numbers", files, numbers)
    before = watched.current
    watched.refresh()
    assert watched.current is before
    files[1].write_text("3")
    watched.refresh()
    assert watched.current == [1, 3]


def test_a_swapped_link_is_a_change(tmp_path: Path) -> None:
    """Kubernetes changes a mounted secret so: a link to a folder is renamed onto the old one."""
    for number in (1, 2):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "file").write_text(str(number))
    data, file = tmp_path / "..data", tmp_path / "file"
    data.symlink_to("v1")
    file.symlink_to("..data/file")
    watched = WatchedFiles("numbers", [file], numbers)
    (tmp_path / "new").symlink_to("v2")
    (tmp_path / "new").rename(data)
    watched.refresh()
    assert watched.current == [2]


@pytest.mark.parametrize("broken", ["x", None], ids=["nonsense", "no file"])
def test_what_is_broken_leaves_the_old_in_force_and_is_logged_once(
    broken: str | None, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    watched = WatchedFiles("numbers", files, numbers)
    if broken is None:
        files[0].unlink()
    else:
        files[0].write_text(broken)
    for _ in range(3):
        watched.refresh()
    assert watched.failures == 3
    assert watched.current == [1, 2]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("numbers: ")
    files[0].write_text("7")
    watched.refresh()
    assert watched.current == [7, 2]
    assert watched.failures == 3


def test_the_failures_of_all_files_are_one_figure(files: list[Path]) -> None:
    one, two = (WatchedFiles(path.name, [path], numbers) for path in files)
    files[1].write_text("x")
    two.refresh()
    (metric,) = Reloads([one, two]).metrics()
    assert [(reading.labels["file"], reading.value) for reading in metric.samples] == [
        ("one", 0),
        ("two", 1),
    ]


def test_what_was_mended_and_breaks_again_in_the_same_way_is_logged_again(
    files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    watched = WatchedFiles("numbers", files, numbers)
    for content in ("x", "1", "x"):
        files[0].write_text(content)
        watched.refresh()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


@pytest.mark.parametrize("broken", ["x", None], ids=["nonsense", "no file"])
def test_at_the_start_what_is_broken_is_refused(broken: str | None, files: list[Path]) -> None:
    if broken is None:
        files[0].unlink()
    else:
        files[0].write_text(broken)
    with pytest.raises(SettingsRefused, match="numbers: "):
        WatchedFiles("numbers", files, numbers)
