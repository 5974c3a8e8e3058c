"""The SQL of the repository, by name, from the files in `sql/`."""

import re
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load_statements(file: str) -> dict[str, str]:
    """The statements of one file. What stands before the first name is for readers."""
    text = (resources.files("repository") / "sql" / file).read_text()
    _, *parts = _NAME.split(text)
    return {
        name: body.strip().rstrip(";") for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


READ: Final = load_statements("read.sql")
WRITE: Final = load_statements("write.sql")
TYPES: Final = load_statements("entity_types.sql")
SESSION: Final = load_statements("session.sql")
DURABILITY: Final = load_statements("durability.sql")
RETENTION: Final = load_statements("retention.sql")
