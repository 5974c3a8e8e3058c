"""Many aggregates of one snapshot, as rows and as columns."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from featom_client.answers import Aggregate
from featom_client.columns import arrow_table, numpy_column, pandas_frame, polars_frame
from featom_client.contract import FeatureAggregate, Timestamp
from featom_client.values import reader_of, to_datetime

if TYPE_CHECKING:
    import numpy
    import pandas
    import polars
    import pyarrow


class Table(Sequence[Aggregate | None]):
    """One row for each entity that was asked for, in that order, duplicates included.

    A row is an Aggregate, or None if there is none. The columns are the features that were asked
    for, or else all that an aggregate has, in alphabetical order; where an aggregate has none the
    cell is None (pandas, polars and Arrow: null; numpy: masked).
    """

    def __init__(
        self,
        entity_ids: Sequence[str],
        found: Sequence[FeatureAggregate | None],
        columns: Sequence[str] | None,
        read_time: Timestamp | None,
    ) -> None:
        self.entity_ids: Final = tuple(entity_ids)
        self._read_time = read_time
        self._found = found
        self._asked = columns

    def __len__(self) -> int:
        return len(self.entity_ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        message = self._found[index]
        return None if message is None else Aggregate(message, self._read_time)

    def __iter__(self) -> Iterator[Aggregate | None]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        missing = f", {len(self.missing)} missing" if self.missing else ""
        return f"<Table of {len(self)} rows{missing}, {len(self.columns)} columns>"

    @property
    def read_time(self) -> datetime | None:
        """The moment for which it was decided what has expired."""
        return None if self._read_time is None else to_datetime(self._read_time)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """The ids that there is no aggregate of, each once, in order."""
        pairs = zip(self.entity_ids, self._found, strict=True)
        return tuple(dict.fromkeys(each for each, message in pairs if message is None))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        if self._asked is not None:
            return tuple(self._asked)
        return tuple(sorted(self._cells))

    def column(self, name: str) -> list[Any]:
        """The values of one feature, None where there is none.

        Raises ValueError if they are not of one kind.
        """
        return list(self._column(name)[1])

    def to_numpy(self) -> "dict[str, numpy.ndarray[Any, Any]]":
        """A vector for each column; needs numpy.

        bool, int64 and double have numpy's own types, vectors of one length are a matrix of
        float32, all else are objects. A column with gaps is a masked array. Raises ValueError if
        kinds differ.
        """
        return {name: numpy_column(*self._column(name)) for name in self.columns}

    def to_arrow(self) -> "pyarrow.Table":
        """`entity_id` and the columns, each of the type of its kind; needs pyarrow."""
        return arrow_table(self.entity_ids, self._typed_columns())

    def to_pandas(self) -> "pandas.DataFrame":
        """The columns, by entity id, of pandas' nullable types; needs pandas."""
        return pandas_frame(self.entity_ids, self._typed_columns())

    def to_polars(self) -> "polars.DataFrame":
        """`entity_id` and the columns, each of the type of its kind; needs polars."""
        return polars_frame(self.entity_ids, self._typed_columns())

    @cached_property
    def _cells(self) -> dict[str, tuple[set[str | None], list[Any]]]:
        """For each feature the kinds that it has, and the contents of its messages by row."""
        cells: dict[str, tuple[set[str | None], list[Any]]] = {}
        for index, message in enumerate(self._found):
            if message is None:
                continue
            for name, feature in message.features.items():
                value = feature.value
                kind = value.WhichOneof("kind")
                if name not in cells:
                    cells[name] = set(), [None] * len(self)
                kinds, contents = cells[name]
                kinds.add(kind)
                contents[index] = getattr(value, kind) if kind else value
        return cells

    def _typed_columns(self) -> dict[str, tuple[str | None, list[Any]]]:
        return {name: self._column(name) for name in self.columns}

    def _column(self, name: str) -> tuple[str | None, list[Any]]:
        """The kind of a column, None if it is empty, and its values."""
        if name not in self._cells:
            return None, [None] * len(self)
        kinds, contents = self._cells[name]
        if len(kinds) > 1:
            listed = ", ".join(sorted(map(str, kinds)))
            raise ValueError(f"{name} is not of one kind in all of these aggregates: {listed}")
        (kind,) = kinds
        reader = reader_of(kind)
        if reader is None:
            return kind, contents
        return kind, [None if content is None else reader(content) for content in contents]
