"""`python -m tests.consistency.sabotaged_server NAME …` is the `featom` command, sabotaged."""

import sys

from cli.main import app
from tests.consistency.sabotages import SABOTAGES

if __name__ == "__main__":
    SABOTAGES[sys.argv.pop(1)]()
    app(prog_name="featom")
