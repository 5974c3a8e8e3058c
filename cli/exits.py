"""How commands end: the exit codes, and what is said when one cannot do what it is for."""

from typing import Final

import typer

FOUND: Final = 1
"""It did its work, and found something: a difference, a violation, a problem."""
USAGE: Final = 2
"""The command line, a file or the request is wrong."""
NOT_FOUND: Final = 3
REFUSED: Final = 4
"""What is stored, or its entity type, does not allow it."""
CONFLICT: Final = 5
"""Somebody else was first: an etag that is not current, an aggregate that exists."""
UNAVAILABLE: Final = 6
"""No answer for now; the same may succeed later."""
NOT_ALLOWED: Final = 7
"""The server does not know who asks, or does not do this for them."""
SERVER_ERROR: Final = 8
INTERRUPTED: Final = 130
"""By Ctrl-C."""


def failed(problem: object, code: int = 1) -> typer.Exit:
    """Says what is wrong; to be raised."""
    typer.echo(f"featom: {problem}", err=True)
    return typer.Exit(code)
