"""`python -m tests.consistency.eager_server` is the `featom` command, in a hurry.

In the product a batch follows right behind another only where much waits for a hot key, and not for
a while after another server was faster with it; here whatever waits does, and at once again.
"""

import sys
from typing import Final

from cli.main import app
from repository.pipeline import commit_pipeline
from repository.writing import contention as contention

EAGER: Final = (sys.executable, "-m", "tests.consistency.eager_server")


def be_eager() -> None:
    """Let whatever waits in this process follow."""
    commit_pipeline.ENOUGH = 1  # type: ignore[attr-defined]
    contention.LASTS = 0.05  # type: ignore[misc]


if __name__ == "__main__":
    be_eager()
    app(prog_name="featom")
