"""How tests start `featom`: from the sources, or as the image that FEATOM_TEST_IMAGE names.

The image runs as Kubernetes restricts it, in the network of this machine. It sees no files of it
and no Unix sockets, so the database must be a container too (FEATOM_TEST_POSTGRES).
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from deploy.docker.check_image import RESTRICTED

FEATOM: Final = (sys.executable, "-m", "cli")
IMAGE: Final = os.environ.get("FEATOM_TEST_IMAGE")


def started(command: Sequence[str], environment: Iterable[str]) -> Sequence[str]:
    """What to run for `command`; if that is `featom`, perhaps a container of the image.

    `environment` has the names of the variables that the process will have.
    """
    if IMAGE is None or command != FEATOM:
        return command
    told = [f"--env={name}" for name in environment if name.startswith(("FEATOM_", "OTEL_"))]
    # Signals reach it through docker, which ends with its exit code.
    return ("docker", "run", "--rm", "--network=host", *RESTRICTED, *told, IMAGE)
