"""`python -m tests.consistency.eager_server` is the `featom` command, in a hurry.

In the product a batch follows right behind another only where much waits for a hot key; here
whatever waits does.
"""

import sys
from typing import Final

from repository import commit_pipeline
from server.cli import app

EAGER: Final = (sys.executable, "-m", "tests.consistency.eager_server")

if __name__ == "__main__":
    commit_pipeline.ENOUGH = 1  # type: ignore[attr-defined]
    app(prog_name="featom")
