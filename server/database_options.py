"""The options of commands that work on a database."""

from typing import Annotated, TypeAlias

import typer

Dsn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="FEATOM_DSN",
        show_default=False,
        help="PostgreSQL 15 or later, as postgresql://ROLE@HOST/DATABASE or as libpq's keywords;"
        " whoever migrates owns the schema, whoever serves need not.",
    ),
]
PasswordFrom: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="FEATOM_PASSWORD_FROM",
        show_default=False,
        help="With a DSN: file:PATH, or entra for a token of Azure workload identity;"
        " asked for at each connection, so that it may change.",
    ),
]
