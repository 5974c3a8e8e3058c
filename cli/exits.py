"""How commands end that cannot do what they are for."""

import typer


def failed(problem: object, code: int = 1) -> typer.Exit:
    """Says what is wrong, in a line; to be raised."""
    typer.echo(f"featom: {problem}", err=True)
    return typer.Exit(code)
