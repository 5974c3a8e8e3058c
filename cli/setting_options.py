"""Settings as options of commands, made from their declarations."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from server.setting import Setting, settings_of
from server.settings import Settings


def option_of(name: str) -> Any:
    """The option of one setting, for commands that need few of them."""
    (found,) = (each for each in settings_of(Settings) if each.name == name)
    return _option(found)


def with_settings(command: Callable[[Mapping[str, Any]], None]) -> Callable[..., None]:
    """The command with an option for every setting; it is given what was asked for, by name."""
    kinds = get_type_hints(Settings)
    options = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=Annotated[kinds[each.name], _option(each)],
        )
        for each in settings_of(Settings)
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        command(given)

    # What typer makes of a command is what these two say.
    with_options.__annotations__ = {each.name: each.annotation for each in options}
    with_options.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    return with_options


def _option(setting: Setting) -> Any:
    unset = f" Unset: {setting.unset}." if setting.unset else ""
    return typer.Option(
        envvar=setting.variable,
        help=f"{setting.help}{unset}",
        show_default=setting.default not in (None, ""),
    )
