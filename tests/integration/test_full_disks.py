"""A disk of the database that is full is told by name, until there is room again."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from domain.entity_key import EntityKey
from domain.errors import Unavailable
from repository.connections.probe import PostgresProbe, ProbeFailed
from tests.kit.cluster import clusters
from tests.kit.fault_injection import repository_on
from tests.kit.postgres import binaries_by_version
from tests.kit.roles import as_app_role, migrate_for_servers
from tests.kit.samples import put, update
from tests.kit.waiting import eventually

KEY = EntityKey("t", "1")


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=120m,mode=1777", "tmpfs", folder], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Nothing more can be written to the disk of a folder, for as long as the block."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65_536)):
                pass
        except OSError:
            pass
    try:
        yield
    finally:
        filler.unlink()


@pytest.mark.needs("mount")
@pytest.mark.parametrize("version", list(binaries_by_version()))
async def test_while_the_disk_is_full_the_server_is_not_ready_and_says_why(version: str) -> None:
    with (
        clusters(binaries_by_version()[version]) as made,
        small_disk(made.folder / "disk"),
        ExitStack() as ending,
    ):
        made.folder = made.folder / "disk"
        cluster = made.primary({"max_wal_size": "32MB", "min_wal_size": "32MB"})
        ending.callback(cluster.stop, "immediate")
        await migrate_for_servers(cluster.dsn)
        dsn = as_app_role(cluster.dsn)
        async with repository_on(dsn) as repository:
            probe = PostgresProbe(dsn, primary=repository.primary)
            await repository.update(update(put("f", "little"), key=KEY))
            await probe.check()
            with filled(made.folder):
                large = update(put("large", os.urandom(300_000)), key=KEY)
                asked = asyncio.ensure_future(repository.update(large))
                await eventually(lambda: repository.primary.disk_is_full)
                for _ in range(3):
                    with pytest.raises(ProbeFailed, match=r"disk .* is full \(SQLSTATE 53100\)"):
                        await probe.check()
                assert await repository.read([KEY])
            await probe.check()
            with suppress(Unavailable):
                await asked
            assert await repository.update(update(put("f", "more"), key=KEY))
            await probe.close()
