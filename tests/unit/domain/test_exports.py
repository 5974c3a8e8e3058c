"""What `from domain import …` offers."""

import ast
import sys
from pathlib import Path

import domain


def test_the_domain_offers_exactly_what_it_imports_in_order() -> None:
    tree = ast.parse(Path(domain.__file__).read_text())
    imported = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(imported) == sorted(domain.__all__)
    assert all(hasattr(domain, name) for name in domain.__all__)


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
