"""The authorization file: grants in YAML, all that is wrong with it said at once.

`authorization.schema.json` beside this file says the same to editors.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from formats.strict_yaml import StrictLoader
from server.access.authentication import PrincipalSort
from server.access.authorization import Grant, Grants
from server.access.permissions import Permission
from server.process.watched_files import ContentRefused, WatchedFiles

# Each sort of principal, or every one of them; no run of more than two stars.
_PRINCIPAL: Final = re.compile(rf"(?!.*\*{{3}})(\*\*|({'|'.join(PrincipalSort)}):.+)")
_TYPES: Final = re.compile(r"[a-z0-9_*]+")


def watched_grants(path: Path) -> WatchedFiles[Grants]:
    """The grants of a file, as it changes. Raises SettingsRefused if it cannot be used now."""
    return WatchedFiles(
        "authorization file", [path], lambda contents: read_grants(*contents), "authorization"
    )


def read_grants(content: bytes) -> Grants:
    """Raises ContentRefused, with everything that is wrong."""
    try:
        document = yaml.load(content, StrictLoader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ContentRefused(str(error)) from error
    problems: list[str] = []
    grants = list(_read(document, problems))
    if problems:
        raise ContentRefused("; ".join(problems))
    return Grants(grants)


def _read(document: Any, problems: list[str]) -> Iterator[Grant]:
    if not isinstance(document, dict) or not isinstance(document.get("grants"), list):
        problems.append("must be a mapping with a list 'grants'")
        return
    problems += [f"{name}: there is no such field" for name in document if name != "grants"]
    for index, item in enumerate(document["grants"]):
        yield _read_grant(item, f"grants[{index}]", problems)


def _read_grant(item: Any, path: str, problems: list[str]) -> Grant:
    if not isinstance(item, dict):
        problems.append(f"{path}: must be a mapping")
        return Grant((), {})
    fields = dict(item)
    principals = _globs(fields.pop("principals", None), f"{path}.principals", _PRINCIPAL, problems)
    permissions = {
        permission: _globs(fields.pop(permission), f"{path}.{permission}", _TYPES, problems)
        for permission in Permission
        if permission in fields
    }
    problems += [f"{path}.{field}: there is no such field" for field in fields]
    if not permissions:
        problems.append(f"{path}: must have at least one of {', '.join(Permission)}")
    return Grant(principals, permissions)


def _globs(content: Any, path: str, pattern: re.Pattern[str], problems: list[str]) -> Sequence[str]:
    if not isinstance(content, list) or not content:
        problems.append(f"{path}: must be a list of at least one")
        return ()
    wrong = [each for each in content if not isinstance(each, str) or not pattern.fullmatch(each)]
    problems += [f"{path}: {each!r} must match {pattern.pattern}" for each in wrong]
    return content
