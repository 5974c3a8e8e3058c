"""What the domain is made of."""

import ast
import sys
from pathlib import Path

import domain


def test_the_domain_needs_nothing_but_the_standard_library_and_structs() -> None:
    """import-linter forbids what it knows of; this forbids everything else."""
    folder = Path(domain.__file__).parent
    imported = {
        name
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in _imported(node)
        if name.partition(".")[0] not in {"domain", *sys.stdlib_module_names}
    }
    assert imported == {"msgspec.Struct", "msgspec.structs.fields", "msgspec.structs.replace"}


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []
