"""The `featom` command, as manifests use it."""

from collections.abc import Mapping
from unittest.mock import patch

import typer

from cli.main import app
from server.settings import Settings


def variables(command: str) -> set[str]:
    """Every variable that `featom COMMAND --help` names."""
    group = typer.main.get_command(app)
    subcommand = getattr(group, "commands")[command]  # noqa: B009
    if command == "migrate":  # alone it is `featom migrate up`
        subcommand = subcommand.commands["up"]
    return {str(parameter.envvar) for parameter in subcommand.params if parameter.envvar}


def settings_from(environment: Mapping[str, str]) -> Settings:
    """What `featom serve` makes of an environment. Raises SettingsRefused as it does."""
    group = typer.main.get_command(app)
    serve = getattr(group, "commands")["serve"]  # noqa: B009
    with patch.dict("os.environ", environment, clear=True):
        return Settings(**serve.make_context("serve", []).params)
