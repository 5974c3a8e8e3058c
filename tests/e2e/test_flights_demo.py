"""The demo of flights: its truth, its comparison, and its retries."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import AsyncMock

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from examples.flights.comparison import compare
from examples.flights.flights import Flight, parse, read_flights
from examples.flights.retry import answered, pause, reason
from examples.flights.truth import Fact, Truth, Vector, fold

BOSTON = Flight(
    event_time=10,
    tailnum="N1",
    carrier="UA",
    origin="EWR",
    destination="BOS",
    distance=200,
    cancelled=False,
    delay=30,
)

MIAMI = BOSTON._replace(event_time=20, destination="MIA", distance=1_000, delay=-5)
CANCELLED = BOSTON._replace(event_time=30, destination="ORD", cancelled=True, delay=None)
WITHOUT_AIRCRAFT = CANCELLED._replace(event_time=40, tailnum=None)

ROW = {
    "year": "2013",
    "month": "1",
    "day": "2",
    "sched_dep_time": "905",
    "dep_time": "NA",
    "arr_delay": "",
    "tailnum": "NA",
    "carrier": "UA",
    "origin": "EWR",
    "dest": "BOS",
    "distance": "200",
}


def test_a_flight_counts_for_its_aircraft_its_carrier_and_its_airport() -> None:
    vector = Vector(
        version=1,
        features={
            "flights": Fact(1, 10),
            "distance": Fact(200, 10),
            "last_destination": Fact("BOS", 10),
            "last_delay": Fact(30, 10),
            "longest_delay": Fact(30, 10),
        },
    )
    assert fold([BOSTON]) == {
        ("aircraft", "N1"): vector,
        ("carrier", "UA"): vector,
        ("airport", "EWR"): vector,
    }


def test_a_flight_without_a_tailnum_counts_for_no_aircraft() -> None:
    assert set(fold([WITHOUT_AIRCRAFT])) == {("carrier", "UA"), ("airport", "EWR")}


def test_flights_add_up_and_the_newest_and_the_longest_stay() -> None:
    assert fold([BOSTON, MIAMI])["airport", "EWR"] == Vector(
        version=2,
        features={
            "flights": Fact(2, 20),
            "distance": Fact(1_200, 20),
            "last_destination": Fact("MIA", 20),
            "last_delay": Fact(-5, 20),
            "longest_delay": Fact(30, 20),
        },
    )


def test_a_cancelled_flight_has_a_destination_and_no_delay() -> None:
    features = fold([BOSTON, CANCELLED])["aircraft", "N1"].features
    assert features["cancelled"] == Fact(1, 30)
    assert features["last_destination"] == Fact("ORD", 30)
    assert features["last_delay"] == features["longest_delay"] == Fact(30, 10)


def test_the_truth_does_not_depend_on_the_order_of_the_flights() -> None:
    flights = [BOSTON, MIAMI, CANCELLED, WITHOUT_AIRCRAFT]
    assert fold(flights) == fold(reversed(flights))


def test_what_a_row_leaves_out_is_left_out() -> None:
    flight = parse(ROW, 0)
    assert (flight.tailnum, flight.cancelled, flight.delay) == (None, True, None)


def test_the_event_time_is_the_scheduled_departure_and_the_row_number_in_microseconds() -> None:
    assert parse(ROW, 7).event_time == 1_357_117_500_000_007


def test_no_two_flights_have_the_same_event_time_and_the_first_ones_are_the_first() -> None:
    flights = read_flights()
    assert len(flights) == len({flight.event_time for flight in flights}) == 336_776
    assert read_flights(5_000) == flights[:5_000]


def _other_value(vector: Vector) -> Vector:
    return replace(vector, features=vector.features | {"flights": Fact(9, 20)})


def _other_event_time(vector: Vector) -> Vector:
    return replace(vector, features=vector.features | {"flights": Fact(2, 19)})


def _feature_missing(vector: Vector) -> Vector:
    return replace(vector, features={"flights": Fact(2, 20)})


def _feature_too_many(vector: Vector) -> Vector:
    return replace(vector, features=vector.features | {"colour": Fact("red", 20)})


def _other_version(vector: Vector) -> Vector:
    return replace(vector, version=3)


def _nothing(vector: Vector) -> Vector:
    return Vector()


def test_the_truth_has_no_differences_from_itself() -> None:
    comparison = compare(fold([BOSTON, MIAMI]), fold([MIAMI, BOSTON]))
    assert (comparison.aggregates, comparison.features, comparison.differences) == (3, 15, [])


@pytest.mark.parametrize(
    ("tamper", "differences"),
    [
        (_other_value, 1),
        (_other_event_time, 1),
        (_feature_missing, 4),
        (_feature_too_many, 1),
        (_other_version, 1),
        (_nothing, 6),
    ],
)
def test_whatever_is_not_the_truth_is_a_difference(
    tamper: Callable[[Vector], Vector], differences: int
) -> None:
    truth: Truth = fold([BOSTON, MIAMI])
    found = truth | {("carrier", "UA"): tamper(truth["carrier", "UA"])}
    comparison = compare(truth, found)
    assert {difference.key for difference in comparison.differences} == {("carrier", "UA")}
    assert len(comparison.differences) == differences


def test_an_aggregate_that_is_not_there_is_a_difference() -> None:
    truth = fold([BOSTON])
    del (found := dict(truth))["aircraft", "N1"]
    assert compare(truth, found).differences


def _status(*details: ErrorInfo | RetryInfo) -> Status:
    status = Status(code=14)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def test_a_retry_waits_for_as_long_as_the_server_asks() -> None:
    status = _status(ErrorInfo(reason="OVERLOADED"), RetryInfo(retry_delay=Duration(seconds=2)))
    assert reason(status) == "OVERLOADED"
    assert 2 <= pause(status, attempt=0) <= 2.5


def test_a_retry_without_advice_waits_longer_each_time_but_not_for_ever() -> None:
    assert reason(_status()) == ""
    assert pause(_status(), attempt=0) <= 0.005
    assert max(pause(_status(), attempt=1_000) for _ in range(100)) <= 1


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"])
async def test_what_a_server_that_ended_left_unanswered_is_asked_again(code: str) -> None:
    reasons: Counter[str] = Counter()
    nothing = grpc.aio.Metadata()
    lost = grpc.aio.AioRpcError(grpc.StatusCode[code], nothing, nothing)
    method = AsyncMock(side_effect=[lost, "the answer"])
    assert await answered(method, "the request", reasons) == "the answer"
    assert reasons == {code: 1}
