"""`python -m tests.e2e.rolling.command BUILD …` is the `featom` command of a build."""

import sys

from cli.main import app
from tests.e2e.rolling.builds import BUILDS

if __name__ == "__main__":
    BUILDS[int(sys.argv.pop(1))].compose()
    app(prog_name="featom")
