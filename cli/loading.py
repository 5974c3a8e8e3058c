"""Commands that are loaded when they are asked for."""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any, Final

import typer

SETTINGS: Final[dict[str, Any]] = {
    "pretty_exceptions_enable": False,
    "add_completion": False,
    "rich_markup_mode": None,
}
"""What every Typer of ours is made with."""


_SERVING: Final = "cli.serving"
"""The one whose lines of gRPC are wanted: they become lines of its log."""


class LazyCommands(MutableMapping[str, Any]):
    """The commands of a group by name, each loaded from its module the first time."""

    def __init__(
        self, loaded: Mapping[str, Any], places: Mapping[str, str], group: str = ""
    ) -> None:
        """`places` are as `module:function`, or `module:app` of a group.

        The module has examples for the end of the function's help, by the name of the function, in
        EXAMPLES. `group` is the one that these commands are of.
        """
        self._group = group
        self._places = dict(places)
        self._loaded = dict(loaded)

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._places[name], self._group)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name], self._places[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._places, **self._loaded})

    def __len__(self) -> int:
        return len({**self._places, **self._loaded})

    def __contains__(self, name: object) -> bool:
        return name in self._places or name in self._loaded


def _load(name: str, place: str, group: str) -> Any:
    module_name, _, attribute = place.partition(":")
    if module_name != _SERVING:
        # What gRPC logs of a connection that fails would stand between the lines of the command.
        # It looks at this when it is imported.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    module = import_module(module_name)
    found = getattr(module, attribute)
    if isinstance(found, typer.Typer):
        loaded = typer.main.get_command(found)
        loaded.name = name
        return loaded
    alone = typer.Typer(**SETTINGS)
    alone.command(name, epilog=_examples(module.EXAMPLES, attribute, group, name))(found)
    return typer.main.get_command(alone)


def _examples(examples: Mapping[str, str], function: str, group: str, name: str) -> str:
    """Those of a function; where it is also a command of a group, as commands of that."""
    text = examples[function]
    if group:
        alone = function.replace("_", "-")
        text = text.replace(f"featom {alone} ", f"featom {group} {name} ")
    return text
