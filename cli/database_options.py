"""The options of commands that work on a database."""

from typing import Annotated, TypeAlias

from cli.setting_options import option_of

Dsn: TypeAlias = Annotated[str | None, option_of("dsn")]
PasswordFrom: TypeAlias = Annotated[str | None, option_of("password_from")]
