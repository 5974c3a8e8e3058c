"""`python -m cli` is the `featom` command."""

from cli.main import app

app(prog_name="featom")
