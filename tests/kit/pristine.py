"""PostgreSQL clusters as initdb makes them, each made once and then copied for whoever needs one.

A copy takes a fraction of the time. The processes that this one starts, such as the workers of a
run, copy the same clusters. All copies have one system identifier, as a primary and its standbys
do, so no server may be led from one to another.
"""

import atexit
import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from server.embedded_postgres.cluster import Cluster
from server.embedded_postgres.owner import Owner
from server.embedded_postgres.programs import Programs, major_version

_FOLDER: Final = "FEATOM_TEST_PRISTINE"


@cache
def share() -> Path:
    """The folder of the clusters, for this process and all that it starts from now on."""
    if inherited := os.environ.get(_FOLDER):
        return Path(inherited)
    folder = Path(tempfile.mkdtemp(prefix="featom-pristine-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_FOLDER] = str(folder)
    return folder


def copy_pristine(binaries: Path, cluster: Path) -> None:
    """Make `cluster`, a folder that is not there yet, one of the version of `binaries`."""
    cluster.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(("cp", "-a", _pristine(binaries), cluster), check=True)


@cache
def _pristine(binaries: Path) -> Path:
    version = major_version(binaries)
    folder = share() / f"postgres-{version}" / "cluster"
    folder.parent.mkdir(exist_ok=True)
    owner = Owner.of(folder)
    programs = Programs(binaries, owner)
    with (share() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cluster = Cluster(folder, programs, owner, version)
        if not cluster.exists:
            owner.pass_through(folder.parent)
            programs.make_runnable()
            cluster.make()
    return folder
