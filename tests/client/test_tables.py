"""Tables in and out: rows of any kind are written, each by itself, and read as columns."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy
import pandas
import polars
import pyarrow
import pytest
from featom_client import AsyncClient, Client, FeatureList, RuleViolated, WriteStopped, inc
from featom_client.entity_types import EntityType, FeatureSpec
from featom_client.errors import Overloaded

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
IDS = [f"{number:03}" for number in range(250)]
COLUMNS: dict[str, list[Any]] = {
    "entity_id": IDS,
    "at": [NOON + timedelta(seconds=number) for number in range(250)],
    "count": list(range(250)),
    "share": [number / 7 for number in range(250)],
    "name": [f"n{number}" for number in range(250)],
    "good": [number % 3 == 0 for number in range(250)],
    "tags": [["a"] * (number % 3) for number in range(250)],
}
WITHOUT_LISTS = {name: column for name, column in COLUMNS.items() if name != "tags"}
ROWS = [
    dict(zip(WITHOUT_LISTS, cells, strict=True))
    for cells in zip(*WITHOUT_LISTS.values(), strict=True)
]
TABLES: dict[str, Callable[[], Any]] = {
    "rows": lambda: ROWS,
    "generator": lambda: iter(ROWS),
    "columns": lambda: WITHOUT_LISTS,
    "numpy": lambda: {**WITHOUT_LISTS, "count": numpy.arange(250), "share": numpy.arange(250) / 7},
    "pandas": lambda: pandas.DataFrame(WITHOUT_LISTS),
    "polars": lambda: polars.DataFrame(COLUMNS),
    "arrow": lambda: pyarrow.table(COLUMNS),
    "arrow stream": lambda: pyarrow.table(COLUMNS).to_reader(max_chunksize=70),
}


@pytest.mark.parametrize("form", TABLES)
def test_each_row_of_a_table_is_written(client: Client, kind: str, form: str) -> None:
    table = TABLES[form]()
    written = client.write(table, kind, event_time="at")
    assert (written.written, written.refused, written.unconfirmed) == (250, [], [])
    read = client.get_many(kind, IDS)
    assert set(read.columns) >= {"count", "share", "name", "good"}
    for name in read.columns:
        assert read.column(name) == COLUMNS[name]
        assert type(read.column(name)[0]) in {type(COLUMNS[name][0]), FeatureList}
    row = read[7]
    assert row is not None
    assert row.event_time("count") == COLUMNS["at"][7]


def test_rows_that_are_refused_are_named_and_all_others_written(client: Client, kind: str) -> None:
    client.apply_entity_type(EntityType(kind, {"x": FeatureSpec("int64", minimum=0)}))
    bad = {3, 4, 99, 100, 249}
    rows = [{"entity_id": each, "x": -1 if n in bad else n} for n, each in enumerate(IDS)]
    rows[7]["x"] = None
    result = client.write(rows, kind)
    assert [each.row for each in result.refused] == sorted(bad | {7})
    assert result.written == 250 - 6
    errors = {each.row: each.error for each in result.refused}
    assert isinstance(errors[3], RuleViolated)
    assert "nulls=" in str(errors[7])
    assert client.get_many(kind, IDS).column("x")[:8] == [0, 1, 2, None, None, 5, 6, None]


def test_rows_of_one_entity_are_applied_in_their_order(client: Client, kind: str) -> None:
    rows = [
        {"entity_id": entity, "x": number}
        for number, entity in zip(range(3_000), itertools.cycle(["a", "b", "c"]), strict=False)
    ]
    # Where a batch is refused its rows are written apart from each other, still in order.
    rows[1_500]["x"] = "bad"
    result = client.write(rows, kind)
    assert [each.row for each in result.refused] == [1_500]
    for entity in "abc":
        last = client.get(kind, entity)
        assert last.version == (999 if entity == "a" else 1_000)
    assert client.get_many(kind, ["a", "b", "c"]).column("x") == [2_997, 2_998, 2_999]


def test_rows_with_values_that_came_late_are_named(client: Client, kind: str) -> None:
    rows = [{"entity_id": "a", "t": NOON + timedelta(hours=hour), "x": hour} for hour in (2, 1, 3)]
    result = client.write(rows, kind, event_time="t")
    assert result.written == 3
    assert [(each.row, each.features) for each in result.stale] == [(1, ("x",))]


def test_a_null_means_what_it_is_said_to_mean(client: Client, kind: str) -> None:
    frame = polars.DataFrame({"entity_id": ["a"], "x": [None], "y": [2]})
    for nulls, left in (("skip", {"x": 1, "y": 2}), ("remove", {"y": 2})):
        client.update(kind, "a", x=1)
        assert client.write(frame, kind, nulls=nulls).written == 1  # type: ignore[arg-type]
        assert dict(client.get(kind, "a")) == left
    with pytest.raises(ValueError, match="nulls must be"):
        client.write(frame, kind, nulls="zero")  # type: ignore[arg-type]


def test_nan_is_a_value_of_a_float_and_a_null_elsewhere(client: Client, kind: str) -> None:
    client.apply_entity_type(EntityType(kind, {"f": FeatureSpec("double", allow_non_finite=True)}))
    frame = pandas.DataFrame(
        {"entity_id": ["a"], "f": [float("nan")], "s": [None], "i": pandas.array([None], "Int64")}
    )
    assert client.write(frame, kind, nulls="skip").written == 1
    read = client.get(kind, "a")
    assert list(read) == ["f"]
    assert read["f"] != read["f"]


def test_a_table_without_its_columns_refuses_every_row(client: Client, kind: str) -> None:
    result = client.write([{"id": "a", "x": 1}], kind)
    assert "entity_id" in str(result.refused[0].error)
    assert client.write([{"id": "a", "x": 1}], kind, entity_id="id").written == 1
    with pytest.raises(TypeError, match="is no table"):
        client.write(7, kind)
    with pytest.raises(ValueError, match="one length"):
        client.write({"entity_id": ["a"], "x": [1, 2]}, kind)


def test_columns_of_numpy_are_of_their_kinds(client: Client, kind: str) -> None:
    columns = {
        "entity_id": ["a", "b"],
        "single": numpy.array([0.1, 0.2], "float32"),
        "small": numpy.array([1, 2], "int8"),
        "flag": numpy.array([True, False]),
        "face": numpy.ones((2, 3), "float32"),
        "gap": numpy.ma.masked_array([1, 2], [False, True]),
    }
    assert client.write(columns, kind, nulls="skip").written == 2
    read = client.get(kind, "a")
    assert dict(read) == {
        "face": [1.0, 1.0, 1.0],
        "flag": True,
        "gap": 1,
        "single": float(numpy.float32(0.1)),
        "small": 1,
    }
    assert type(read["small"]) is int
    assert read["face"].kind == "float_vector"
    assert "gap" not in client.get(kind, "b")
    times = numpy.array(["2024-01-01", "2024-01-02"], "datetime64[ns]")
    for table in (
        {"entity_id": ["a", "b"], "t": times},
        pandas.DataFrame({"entity_id": ["a", "b"], "t": times}),
    ):
        assert "time zone" in str(client.write(table, kind).refused[0].error)


def test_large_rows_go_in_smaller_batches(client: Client, kind: str) -> None:
    rows = [{"entity_id": str(number), "blob": b"x" * 300_000} for number in range(20)]
    assert client.write(rows, kind).written == 20


def test_a_stream_takes_updates_one_by_one(client: Client, kind: str) -> None:
    with client.stream() as stream:
        for number in range(500):
            assert stream.update(kind, str(number % 7), n=inc(1)) == number
        stream.flush()
        assert stream.result.written == 500
        stream.update(kind, "0", n=inc(1))
    assert stream.result.written == 501
    assert sum(client.get_many(kind, map(str, range(7))).column("n")) == 501


def test_a_job_that_takes_too_long_is_stopped_and_says_how_far_it_came(
    client: Client, kind: str
) -> None:
    with pytest.raises(WriteStopped) as stopped:
        client.write(
            ({"entity_id": str(number), "x": 1} for number in itertools.count()), kind, timeout=1
        )
    result = stopped.value.result
    # Who of the two notices first, the client or the server, is a matter of luck.
    assert isinstance(stopped.value.__cause__, TimeoutError | Overloaded)
    assert result.unconfirmed
    confirmed = result.written
    assert len(list(client.list(kind))) >= confirmed


async def test_the_asynchronous_client_writes_tables_too(
    async_client: AsyncClient, kind: str
) -> None:
    await async_client.apply_entity_type(EntityType(kind, {"x": FeatureSpec("int64", minimum=0)}))
    rows = [{"entity_id": f"{n % 90}", "x": -1 if n == 130 else n} for n in range(950)]
    result = await async_client.write(rows, kind)
    assert [each.row for each in result.refused] == [130]
    assert result.written == 949
    assert (await async_client.get(kind, "0"))["x"] == 900
    forever = ({"entity_id": str(number), "x": 1} for number in itertools.count())
    with pytest.raises(WriteStopped):
        await async_client.write(forever, kind, timeout=1)


def test_a_table_keeps_order_duplicates_and_gaps(client: Client, kind: str) -> None:
    client.update(kind, "a", x=1, f=1.5, s="t", v=numpy.ones(2, "float32"), b=True, w=["p", "q"])
    client.update(kind, "b", x=2, w=["r", "s"])
    table = client.get_many(kind, ["b", "none", "a", "b"])
    assert table.missing == ("none",)
    assert table.columns == ("b", "f", "s", "v", "w", "x")
    assert [each and each.entity_id for each in table] == ["b", None, "a", "b"]
    assert table.column("x") == [2, None, 1, 2]
    table.column("x").clear()
    assert table.column("x") == [2, None, 1, 2]
    arrays = table.to_numpy()
    assert arrays["w"].tolist() == [["r", "s"], None, ["p", "q"], ["r", "s"]]
    assert arrays["x"].dtype == "int64"
    assert arrays["x"].tolist() == [2, None, 1, 2]
    assert arrays["v"].shape == (4, 2)
    assert arrays["v"].dtype == "float32"
    arrow = table.to_arrow()
    assert arrow.column("x").to_pylist() == [2, None, 1, 2]
    assert arrow.column("v").type == pyarrow.list_(pyarrow.float32())
    frame = table.to_pandas()
    assert frame["x"].dtype == "Int64"
    assert frame["f"].dtype == "Float64"
    assert frame.index.tolist() == ["b", "none", "a", "b"]
    assert frame["x"].isna().tolist() == [False, True, False, False]
    polar = table.to_polars()
    assert polar["x"].to_list() == [2, None, 1, 2]
    assert polar["entity_id"].to_list() == ["b", "none", "a", "b"]
    assert client.get_many(kind, ["a", "b"], ["x", "nowhere"]).columns == ("x", "nowhere")
    assert client.get_many(kind, ["a"], ["x"]).to_numpy()["x"].dtype == "int64"


def test_what_was_read_as_a_table_can_be_written_as_it_is(client: Client, kind: str) -> None:
    client.write(pyarrow.table(COLUMNS), kind)
    table = client.get_many(kind, IDS)
    for copy in (table.to_arrow(), table.to_polars()):
        assert client.write(copy, f"{kind}_again").written == 250
        again = client.get_many(f"{kind}_again", IDS)
        assert all(again.column(name) == table.column(name) for name in table.columns)


def test_a_column_of_several_kinds_says_so(client: Client, kind: str) -> None:
    client.update(kind, "a", x=1)
    client.update(kind, "b", x="one")
    with pytest.raises(ValueError, match="x is not of one kind"):
        client.get_many(kind, ["a", "b"]).to_numpy()
