"""Rows of a table as updates: the table of whatever kind it is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from featom_client import calls
from featom_client.contract import UpdateFeaturesRequest
from featom_client.errors import InvalidRequest, Violation, invalid_request
from featom_client.operations import Change, Remove
from featom_client.values import FeatureList

Nulls = Literal["refuse", "skip", "remove"]
"""What a null in a table means: the row is refused, the feature is left as it is, or removed."""

_ROWS_AT_A_TIME: Final = 1_000


@dataclass(frozen=True)
class Row:
    """One update of a bulk write."""

    number: int
    """Its place, from 0."""
    request: UpdateFeaturesRequest

    @property
    def key(self) -> tuple[str, str]:
        return self.request.key.entity_type, self.request.key.entity_id


@dataclass(frozen=True)
class RefusedRow:
    """A row that was not written, and why."""

    row: int
    error: Exception


@dataclass(frozen=True)
class Reading:
    """What the columns of a table mean; all others are features."""

    entity_type: str
    entity_id: str = "entity_id"
    event_time: str | None = None
    nulls: Nulls = "refuse"

    def rows(self, table: Any) -> Iterator[Row | RefusedRow]:
        """Each row as it is reached. Raises TypeError or ValueError if it is no table."""
        if self.nulls not in {"refuse", "skip", "remove"}:
            raise ValueError(f"nulls must be refuse, skip or remove, not {self.nulls!r}")
        return (self._row(number, cells) for number, cells in enumerate(_mappings(table)))

    def _row(self, number: int, cells: Mapping[str, Any]) -> Row | RefusedRow:
        try:
            return Row(number, self._request(cells))
        except InvalidRequest as error:
            return RefusedRow(number, error)

    def _request(self, cells: Mapping[str, Any]) -> UpdateFeaturesRequest:
        features = dict(cells)
        wanted = [self.entity_id, *([self.event_time] if self.event_time else [])]
        if absent := [name for name in wanted if features.get(name) is None]:
            raise invalid_request(
                "the row cannot be sent",
                *(Violation(name, "is not in the row, or null") for name in absent),
            )
        entity_id = features.pop(self.entity_id)
        event_time: datetime | None = features.pop(self.event_time) if self.event_time else None
        return calls.update_request(
            self.entity_type, entity_id, self._changes(features), event_time=event_time
        )

    def _changes(self, features: dict[str, Any]) -> Mapping[str, Change]:
        nulls = [name for name, value in features.items() if value is None]
        if not nulls:
            return features
        if self.nulls == "refuse":
            why = "is null: say nulls='skip' or nulls='remove'"
            raise invalid_request(
                "the row cannot be sent", *(Violation(name, why) for name in nulls)
            )
        if self.nulls == "remove":
            return features | dict.fromkeys(nulls, Remove())
        return {name: value for name, value in features.items() if value is not None}


def _mappings(table: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of anything that has some, with Python's own values in the cells."""
    if hasattr(table, "__arrow_c_stream__") and not _is_pandas(table):
        return _arrow_rows(table)
    if _is_pandas(table):
        return _column_rows({name: _pandas_cells(table[name]) for name in table.columns})
    if isinstance(table, Mapping):
        return _column_rows({name: _cells(column) for name, column in table.items()})
    if isinstance(table, Iterable) and not isinstance(table, (str, bytes)):
        return iter(table)
    raise TypeError(
        f"{type(table).__name__} is no table: give rows, columns, a frame or Arrow data"
    )


def _arrow_rows(table: Any) -> Iterator[Mapping[str, Any]]:
    """Batch by batch, so that a stream need not be in memory as a whole."""
    try:
        import pyarrow
    except ImportError:
        raise ImportError(
            "tables of Arrow need pyarrow: pip install 'featom-client[arrow]'"
        ) from None
    for batch in pyarrow.RecordBatchReader.from_stream(table):
        for start in range(0, batch.num_rows, _ROWS_AT_A_TIME):
            part = batch.slice(start, _ROWS_AT_A_TIME)
            columns = {
                name: _arrow_cells(part.column(index))
                for index, name in enumerate(part.schema.names)
            }
            yield from _column_rows(columns)


def _arrow_cells(column: Any) -> Sequence[Any]:
    """Lists keep their kind, also empty ones; times keep nanoseconds only if pandas is there."""
    kind = _LIST_KINDS.get(str(getattr(column.type, "value_type", "")))
    cells: list[Any] = column.to_pylist()
    if kind is None:
        return cells
    return [None if each is None else FeatureList(kind, each) for each in cells]


_LIST_KINDS: Final = {
    "bool": "bool_list",
    "string": "string_list",
    "large_string": "string_list",
    "string_view": "string_list",
    "double": "double_list",
    "float": "float_vector",
    "halffloat": "float_vector",
    **{f"{sign}int{bits}": "int64_list" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def _is_pandas(table: Any) -> bool:
    return type(table).__module__.partition(".")[0] == "pandas"


def _pandas_cells(column: Any) -> Sequence[Any]:
    """NaN is a value of a column of floats; it is a null of others, as NA and NaT are."""
    if getattr(column.dtype, "kind", "") == "f" and not hasattr(column.dtype, "na_value"):
        return _cells(column.to_numpy())
    return [
        None if null else each for each, null in zip(column.tolist(), column.isna(), strict=True)
    ]


def _cells(column: Any) -> Sequence[Any]:
    """Plain values; of a matrix vectors. What is masked is null."""
    dtype = getattr(column, "dtype", None)
    # Some times of numpy would become ints; as they are they are refused.
    if dtype is None or column.ndim > 1 or dtype.kind in "mM":
        return list(column)
    return list(column.tolist())


def _column_rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[Mapping[str, Any]]:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns are not of one length: {lengths}")
    names = tuple(columns)
    return (dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True))
