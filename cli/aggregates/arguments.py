"""The arguments and options that several commands about aggregates have."""

from datetime import datetime
from typing import Annotated, TypeAlias

import typer

from cli.aggregates.assignments import read_time

EntityType: TypeAlias = Annotated[
    str, typer.Argument(metavar="TYPE", help="The entity type, such as card.", show_default=False)
]
EntityId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", help="The entity's id.", show_default=False)
]
Uid: TypeAlias = Annotated[
    str | None,
    typer.Option(show_default=False, help="Of this incarnation, which may have been deleted."),
]
RequestId: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="UUID",
        show_default=False,
        help="Under which it is applied once, however often it is sent; without it a new one.",
    ),
]


def moment(text: str) -> datetime:
    """The parser of options that are times."""
    try:
        return read_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
