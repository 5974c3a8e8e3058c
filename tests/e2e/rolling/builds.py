"""The builds after the product: its own code, with other columns in its SQL and the migrations."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from repository import statements
from repository.migrations import window
from repository.migrations.revisions import LOCATIONS
from tests.e2e.rolling.product import FOURTH, SECOND, THIRD

VERSIONS: Final = Path(__file__).parent / "versions"
FOLDERS: Final = (VERSIONS / "second", VERSIONS / "third", VERSIONS / "fourth")


@dataclass(frozen=True)
class Build:
    """What a build makes of the two columns."""

    number: int
    reads: str
    writes: tuple[str, ...]
    versions: tuple[Path, ...]
    """The folders of the migrations that it knows beside those of the product."""

    def compose(self) -> None:
        """Turn the product in this process into this build, before any of it is used."""
        window.BUILD = self.number  # type: ignore[misc]
        LOCATIONS.extend(self.versions)
        for sql, name, text in list(_of_aggregates()):
            # A column that is selected keeps its name; one in an expression has none.
            text = re.sub(r"\ba\.state(,|$)", rf"a.{self.reads} AS state\1", text, flags=re.M)
            sql[name] = re.sub(r"\ba\.state\b", f"a.{self.reads}", text)
        write = statements.WRITE["write_batch"]
        for old, new in self._writing().items():
            write, found = re.subn(old, new, write)
            assert found, f"write_batch is written in another way now: no {old}"
        statements.WRITE["write_batch"] = write

    def _writing(self) -> dict[str, str]:
        assigned = ", ".join(f"{name} = r.state" for name in self.writes)
        return {
            r"\bstate = r\.state\b": assigned,
            # The columns of an INSERT, and not those that unnest() gives names to.
            r"(INSERT (?:INTO aggregates )?\(\s*entity_type, [^)]*?)\bstate\b": (
                r"\1" + ", ".join(self.writes)
            ),
            r"\br\.version, r\.state\b": "r.version, " + ", ".join(["r.state"] * len(self.writes)),
        }


BUILDS: Final[Mapping[int, Build]] = MappingProxyType(
    {
        build.number: build
        for build in (
            Build(SECOND, reads="state", writes=("state", "vector"), versions=FOLDERS[:1]),
            Build(THIRD, reads="vector", writes=("state", "vector"), versions=FOLDERS[:2]),
            Build(FOURTH, reads="vector", writes=("vector",), versions=FOLDERS),
        )
    }
)


def _of_aggregates() -> Iterator[tuple[dict[str, str], str, str]]:
    """Each statement that asks for aggregates, with its name and where it stands."""
    for sql in vars(statements).values():
        if isinstance(sql, dict):
            for name, text in sql.items():
                if re.search(r"\baggregates AS a\b", str(text)):
                    yield sql, name, text
