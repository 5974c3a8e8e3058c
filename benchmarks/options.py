"""Options that several benchmarks have."""

from typing import Annotated, TypeAlias

import typer

Retries: TypeAlias = Annotated[
    int, typer.Option(help="More rounds at most, if other processes disturb some.", min=0)
]
Seconds: TypeAlias = Annotated[float, typer.Option(help="Length of one round.", min=0.5)]
