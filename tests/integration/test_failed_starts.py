"""A server that cannot have one of its ports says so in a line and leaves nothing running."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from server.main import serve_on
from server.settings import Settings, SettingsRefused
from tests.kit.postgres import folder_for_postgres
from tests.kit.roles import as_app_role

ROOT: Final = Path(__file__).parents[2]
PORTS: Final = ("listen", "health_listen", "metrics_listen")


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("port", PORTS)
def test_a_port_that_is_taken_ends_the_servers_own_postgresql_too(port: str, taken: str) -> None:
    others = {name: value for name, value in os.environ.items() if "FEATOM_" not in name}
    with folder_for_postgres() as folder:
        settings = {"FEATOM_LISTEN": "127.0.0.1:0", "FEATOM_DATA_DIR": str(folder)}
        done = subprocess.run(
            [sys.executable, "-m", "cli", "serve"],
            cwd=ROOT,
            env=others | settings | {f"FEATOM_{port.upper()}": taken},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"featom: cannot listen on {taken}")
        assert "Address already in use" in done.stderr
        assert "GRPC_VERBOSITY" not in done.stderr
        assert "Traceback" not in done.stderr
        cluster = folder / "postgres" / "cluster"
        assert (cluster / "PG_VERSION").exists()
        assert not (cluster / "postmaster.pid").exists()


@pytest.mark.parametrize("port", PORTS)
async def test_a_port_that_is_taken_leaves_nothing_at_work_on_the_database(
    port: str, taken: str, database: str
) -> None:
    before = asyncio.all_tasks()
    given: dict[str, Any] = {"listen": "127.0.0.1:0", port: taken}
    with pytest.raises(SettingsRefused, match=f"cannot listen on {taken}"):
        await serve_on(as_app_role(database), Settings(**given), asyncio.Event())
    await asyncio.sleep(0)  # for what was cancelled to end
    assert asyncio.all_tasks() == before
