"""`featom completion`: what makes a shell complete the commands and their options."""

import os
from enum import StrEnum
from typing import Annotated, Final

import typer
from typer.completion import get_completion_inspect_parameters

COMPLETE: Final = "_FEATOM_COMPLETE"
"""The variable by which the shell asks for completions."""

EXAMPLES: Final = {
    "completion": """\b
Examples:
  featom completion bash >> ~/.bash_completion
  featom completion zsh > ~/.zfunc/_featom     with fpath+=~/.zfunc before compinit
  featom completion fish > ~/.config/fish/completions/featom.fish"""
}


class Shell(StrEnum):
    """The shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    context: typer.Context, shell: Annotated[Shell, typer.Argument(help="Which one.")]
) -> None:
    """Write the script that lets a shell complete commands."""
    os.environ[COMPLETE] = f"source_{shell}"
    try:
        context.find_root().command.main(prog_name="featom")
    finally:
        del os.environ[COMPLETE]


def prepare() -> None:
    """Make Typer know the shells, as it does by itself for commands that have options for it."""
    get_completion_inspect_parameters()
