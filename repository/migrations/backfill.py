"""A backfill: filling a new column of old rows, a page at a time, while servers work."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What to write where. Rows are visited in the order of the key, and locked in that order, as
    writers lock theirs."""

    name: str
    table: str
    key: Mapping[str, str]
    """The columns of a unique key and their types, in its order; all of them NOT NULL."""
    set: str
    """What to write, as after SET; the row is `t`."""
    where: str
    """Which rows need it, as after WHERE; those that do not are not written."""
    oldest_build: int
    """Builds before write rows that would need it again: it does not begin while one of them is
    connected, and from then on they are not ready."""

    @property
    def first_page(self) -> str:
        """SQL of the first page: $1 is how many rows it has."""
        return self._page("true", "$1")

    @property
    def next_page(self) -> str:
        """SQL of a page: $1 to $n are the key of the last row before it, $n+1 how many rows."""
        after = ", ".join(
            f"${number}::text::{kind}" for number, kind in enumerate(self.key.values(), start=1)
        )
        return self._page(f"({self._columns('t')}) > ({after})", f"${len(self.key) + 1}")

    def _page(self, after: str, limit: str) -> str:
        return f"""
            WITH page AS MATERIALIZED (
                SELECT {self._columns("t")}
                FROM {self.table} AS t
                WHERE {after}
                ORDER BY {self._columns("t")}
                LIMIT {limit}
                FOR NO KEY UPDATE OF t
            ),
            written AS (
                UPDATE {self.table} AS t
                SET {self.set}
                FROM page AS p
                WHERE ({self._columns("t")}) = ({self._columns("p")}) AND ({self.where})
                RETURNING 1
            )
            SELECT
                (SELECT count(*) FROM page) AS seen,
                (SELECT count(*) FROM written) AS written,
                (
                    SELECT ARRAY[{self._columns("p", "::text")}] FROM page AS p
                    ORDER BY {self._columns("p", " DESC")} LIMIT 1
                ) AS last
        """  # noqa: S608

    def _columns(self, row: str, suffix: str = "") -> str:
        return ", ".join(f"{row}.{name}{suffix}" for name in self.key)
