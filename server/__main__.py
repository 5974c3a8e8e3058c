"""`python -m server` is the `featom` command."""

from server.cli import app

app(prog_name="featom")
