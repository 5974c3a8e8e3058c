"""Columns of a table as those of numpy, Arrow, pandas and polars.

Each is imported when it is asked for.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy
    import pandas
    import polars
    import pyarrow

Columns = Mapping[str, tuple[str | None, list[Any]]]
"""For each name the kind, None if all cells are empty, and the values, None where there is none."""

ENTITY_ID: Final = "entity_id"
_NUMPY: Final = {"bool_value": "bool", "int64_value": "int64", "double_value": "float64"}
_PANDAS: Final = {"bool_value": "boolean", "int64_value": "Int64", "string_value": "string"}


def numpy_column(kind: str | None, values: list[Any]) -> "numpy.ndarray[Any, Any]":
    import numpy

    gaps = [value is None for value in values]
    if kind == "float_vector" and len({len(each) for each in values if each is not None}) == 1:
        width = next(len(each) for each in values if each is not None)
        filled = [[0.0] * width if value is None else value for value in values]
        column = numpy.array(filled, dtype="float32")
        mask = numpy.repeat(numpy.array(gaps)[:, None], width, axis=1)
    elif kind in _NUMPY:
        filled = [0 if value is None else value for value in values] if any(gaps) else values
        column = numpy.array(filled, dtype=_NUMPY[kind])
        mask = numpy.array(gaps)
    else:
        column = numpy.empty(len(values), dtype=object)
        # One by one: lists of one length would become a matrix.
        for index, value in enumerate(values):
            column[index] = value
        mask = numpy.array(gaps)
    return numpy.ma.masked_array(column, mask) if any(gaps) else column


def arrow_table(entity_ids: Sequence[str], columns: Columns) -> "pyarrow.Table":
    import pyarrow

    types = {
        None: pyarrow.null(),
        "bool_value": pyarrow.bool_(),
        "int64_value": pyarrow.int64(),
        "double_value": pyarrow.float64(),
        "string_value": pyarrow.string(),
        "bytes_value": pyarrow.binary(),
        "timestamp_value": pyarrow.timestamp("us", tz="UTC"),
        "bool_list": pyarrow.list_(pyarrow.bool_()),
        "int64_list": pyarrow.list_(pyarrow.int64()),
        "double_list": pyarrow.list_(pyarrow.float64()),
        "string_list": pyarrow.list_(pyarrow.string()),
        "float_vector": pyarrow.list_(pyarrow.float32()),
    }
    arrays = {ENTITY_ID: pyarrow.array(entity_ids, pyarrow.string())}
    for name, (kind, values) in columns.items():
        arrays[_free(name, arrays)] = pyarrow.array(values, types[kind])
    return pyarrow.table(arrays)


def pandas_frame(entity_ids: Sequence[str], columns: Columns) -> "pandas.DataFrame":
    import pandas

    data = {name: _pandas_array(kind, values) for name, (kind, values) in columns.items()}
    return pandas.DataFrame(data, index=pandas.Index(entity_ids, name=ENTITY_ID, dtype="object"))


def _pandas_array(kind: str | None, values: list[Any]) -> Any:
    import numpy
    import pandas

    if kind != "double_value":
        return pandas.array(values, dtype=_PANDAS.get(kind or "", "object"))
    # From a list a NaN would become a gap.
    numbers = numpy.array([0.0 if value is None else value for value in values])
    return pandas.arrays.FloatingArray(numbers, numpy.array([value is None for value in values]))


def polars_frame(entity_ids: Sequence[str], columns: Columns) -> "polars.DataFrame":
    import polars

    types: dict[str | None, Any] = {
        None: polars.Null,
        "bool_value": polars.Boolean,
        "int64_value": polars.Int64,
        "double_value": polars.Float64,
        "string_value": polars.String,
        "bytes_value": polars.Binary,
        "timestamp_value": polars.Datetime("us", "UTC"),
        "bool_list": polars.List(polars.Boolean),
        "int64_list": polars.List(polars.Int64),
        "double_list": polars.List(polars.Float64),
        "string_list": polars.List(polars.String),
        "float_vector": polars.List(polars.Float32),
    }
    series = {ENTITY_ID: polars.Series(entity_ids, dtype=polars.String)}
    for name, (kind, values) in columns.items():
        series[_free(name, series)] = polars.Series(values, dtype=types[kind], strict=True)
    return polars.DataFrame(series)


def _free(name: str, taken: Mapping[str, Any]) -> str:
    if name in taken:
        raise ValueError(f"a feature is named {name}, as the column of the ids is: ask for others")
    return name
