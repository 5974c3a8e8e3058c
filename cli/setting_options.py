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
    """The command with an option for every setting; it is given what was asked for, by name, and as
    `dsn_from` where the DSN was found."""
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

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)

    @wraps(command)
    def with_options(context: typer.Context, **given: Any) -> None:
        command(given | {"dsn_from": _origin(context, "dsn")})

    # What typer makes of a command is what these two say.
    shown = [context, *options]
    with_options.__annotations__ = {each.name: each.annotation for each in shown}
    with_options.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return with_options


def _origin(context: typer.Context, name: str) -> str:
    """The flag or the variable that a setting was given by; empty if neither was."""
    (found,) = (each for each in settings_of(Settings) if each.name == name)
    source = context.get_parameter_source(name)
    origins = {"COMMANDLINE": found.flag, "ENVIRONMENT": found.variable}
    return origins.get(source.name, "") if source else ""


def _option(setting: Setting) -> Any:
    unset = f" Unset: {setting.unset}." if setting.unset else ""
    return typer.Option(
        envvar=setting.variable,
        help=f"{setting.help}{unset}",
        show_default=setting.default not in (None, ""),
    )
