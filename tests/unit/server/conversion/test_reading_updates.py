"""Requests that write, as what they ask for; and everything that is wrong with them."""

from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given

from codec.values import encode_value
from domain.errors import InvalidValue, LimitExceeded
from domain.etag import Etag
from domain.limits import Limits
from domain.operations import Append, Increment, Maximum, Minimum, Operation, Remove, SetValue
from domain.update import FeatureUpdate, Update, update_violations
from domain.values import FeatureValue, ValueKind
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.value_pb2 import FeatureValue as ValueMessage
from server.conversion.writes import read_deletion, read_update, read_update_batch
from tests.kit.samples import KEY, REQUEST_ID, UID, value
from tests.kit.strategies import ANY_VALUE

GOOD = KeyMessage(entity_type="customer", entity_id="c-1")
ONE = ValueMessage(int64_value=1)
ETAG = Etag(UID, 1, 7)


def request(*updates: pb.FeatureUpdate, **fields: Any) -> pb.UpdateFeaturesRequest:
    given_or_good: dict[str, Any] = {"key": GOOD} | fields
    return pb.UpdateFeaturesRequest(updates=updates, **given_or_good)


def item(**fields: Any) -> pb.FeatureUpdate:
    return pb.FeatureUpdate(**({"name": "f"} | fields))


def blamed(update: Update) -> list[str]:
    """The fields that the domain will refuse an update for."""
    return [violation.field for violation in update_violations(update)]


def test_an_update_says_everything_that_the_request_says() -> None:
    update = read_update(
        request(
            item(set=ONE, event_time=Timestamp(seconds=-1, nanos=5)),
            etag=str(ETAG),
            request_id=str(REQUEST_ID).upper(),
            event_time=Timestamp(seconds=9),
            validate_only=True,
            return_aggregate=True,
        )
    )
    assert (update.key, update.etag, update.request_id) == (KEY, ETAG, REQUEST_ID)
    assert update.updates == (FeatureUpdate("f", SetValue(value(1)), -999_999_995),)
    assert update.event_time == 9_000_000_000
    assert (update.validate_only, update.return_aggregate) == (True, True)
    assert not blamed(update)


def test_a_plain_update_has_neither_conditions_nor_times() -> None:
    update = read_update(request(item(set=ONE)))
    assert (update.etag, update.request_id, update.event_time) == (None, None, None)
    assert update.updates[0].event_time is None
    assert (update.validate_only, update.return_aggregate, update.fingerprint) == (
        False,
        False,
        b"",
    )


@pytest.mark.parametrize(
    ("fields", "operation"),
    [
        ({"set": ONE}, SetValue(value(1))),
        ({"increment": ONE}, Increment(value(1))),
        ({"maximum": ONE}, Maximum(value(1))),
        ({"minimum": ONE}, Minimum(value(1))),
        ({"append": pb.AppendOperation(value=ONE, max_length=5)}, Append(value(1), 5)),
        ({"remove": True}, Remove()),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else "",
)
def test_every_operation_is_read(fields: dict[str, Any], operation: Operation) -> None:
    assert read_update(request(item(**fields))).updates[0].operation == operation


def test_every_operation_of_the_contract_is_known() -> None:
    oneof = pb.FeatureUpdate.DESCRIPTOR.oneofs_by_name["operation"]
    assert {field.name for field in oneof.fields} == {
        operation.field for operation in (SetValue, Increment, Maximum, Minimum, Append, Remove)
    }


@given(ANY_VALUE)
def test_every_value_is_read_as_it_was_written(any_value: FeatureValue) -> None:
    message = ValueMessage()
    encode_value(any_value, message)
    update = read_update(request(item(set=message)))
    assert update.updates[0].operation == SetValue(any_value)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "updates[0].operation"),
        ({"remove": False}, "updates[0].remove"),
        ({"set": ValueMessage()}, "updates[0].set"),
        ({"increment": ValueMessage()}, "updates[0].increment"),
        ({"append": pb.AppendOperation()}, "updates[0].append.value"),
        (
            {"append": pb.AppendOperation(value=ONE, max_length=-1)},
            "updates[0].append.max_length",
        ),
        (
            {"set": ValueMessage(timestamp_value=Timestamp(nanos=-1))},
            "updates[0].set.timestamp_value.nanos",
        ),
        (
            {"set": ValueMessage(timestamp_value=Timestamp(seconds=2**62))},
            "updates[0].set",
        ),
        ({"set": ONE, "event_time": Timestamp(nanos=10**9)}, "updates[0].event_time.nanos"),
        ({"set": ONE, "event_time": Timestamp(seconds=2**62)}, "updates[0].event_time"),
        ({"set": ValueMessage(double_value=float("nan"))}, "updates[0].set"),
        ({"set": ONE, "name": "no name"}, "updates[0].name"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_feature_update_is_named(fields: dict[str, Any], field: str) -> None:
    assert blamed(read_update(request(item(**fields)))) == [field]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"etag": "junk"}, "etag"),
        ({"request_id": "junk"}, "request_id"),
        ({"request_id": REQUEST_ID.hex}, "request_id"),
        ({"request_id": f"{{{REQUEST_ID}}}"}, "request_id"),
        ({"request_id": f"urn:uuid:{REQUEST_ID}"}, "request_id"),
        ({"event_time": Timestamp(nanos=-1)}, "event_time.nanos"),
        ({"event_time": Timestamp(seconds=-(2**62))}, "event_time"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_request_is_named(fields: dict[str, Any], field: str) -> None:
    assert blamed(read_update(request(item(set=ONE), **fields))) == [field]


@pytest.mark.parametrize("etag", [str(ETAG), "junk"])
def test_an_etag_of_what_must_be_absent_is_a_contradiction_that_names_both(etag: str) -> None:
    fields = blamed(read_update(request(item(set=ONE), etag=etag, must_be_absent=True)))
    assert set(fields) == {"etag", "must_be_absent"}


def test_without_a_proper_key_everything_is_named_at_once() -> None:
    wrong = pb.UpdateFeaturesRequest(
        etag="junk", request_id="junk", updates=[item(name=""), item(set=ONE)]
    )
    with pytest.raises(InvalidValue) as refused:
        read_update(wrong)
    assert [violation.field for violation in refused.value.violations] == [
        "key.entity_type",
        "key.entity_id",
        "request_id",
        "updates[0].operation",
        "etag",
        "updates[0].name",
    ]


def test_a_fingerprint_is_that_of_the_content_and_not_of_the_request_id() -> None:
    def fingerprint(by: int = 1, request_id: UUID = REQUEST_ID, **fields: Any) -> bytes:
        asked = request(
            item(increment=ValueMessage(int64_value=by)), request_id=str(request_id), **fields
        )
        return read_update(asked).fingerprint

    assert fingerprint() == fingerprint()
    assert fingerprint() == fingerprint(request_id=UID)
    others = [
        fingerprint(by=2),
        fingerprint(etag=str(ETAG)),
        fingerprint(validate_only=True),
        fingerprint(return_aggregate=True),
        fingerprint(must_be_absent=True),
        fingerprint(event_time=Timestamp()),
    ]
    assert len({fingerprint(), *others}) == 7


def test_a_deletion_and_an_update_never_have_the_same_fingerprint() -> None:
    deletion = read_deletion(pb.DeleteAggregateRequest(key=GOOD, request_id=str(REQUEST_ID)))
    update = read_update(pb.UpdateFeaturesRequest(key=GOOD, request_id=str(REQUEST_ID)))
    assert deletion.fingerprint != update.fingerprint


def test_a_deletion_says_everything_that_the_request_says() -> None:
    deletion = read_deletion(
        pb.DeleteAggregateRequest(
            key=GOOD, etag=str(ETAG), request_id=str(REQUEST_ID), erase_history=True
        )
    )
    assert (deletion.key, deletion.etag, deletion.request_id) == (KEY, ETAG, REQUEST_ID)
    assert deletion.erase_history


def test_everything_wrong_with_a_deletion_is_named_at_once() -> None:
    with pytest.raises(InvalidValue) as refused:
        read_deletion(pb.DeleteAggregateRequest(etag="junk", request_id="junk"))
    assert [violation.field for violation in refused.value.violations] == [
        "key.entity_type",
        "key.entity_id",
        "request_id",
        "etag",
    ]


def test_a_batch_is_read_in_order() -> None:
    other = KeyMessage(entity_type="customer", entity_id="c-2")
    batch = read_update_batch(
        pb.BatchUpdateFeaturesRequest(
            updates=[request(item(set=ONE), key=other), request(item(set=ONE))],
            request_id=str(REQUEST_ID),
        ),
        Limits(),
    )
    assert [update.key.entity_id for update in batch.updates] == ["c-2", "c-1"]
    assert batch.request_id == REQUEST_ID
    assert batch.fingerprint


def test_everything_wrong_with_a_batch_is_named_at_once() -> None:
    asked = pb.BatchUpdateFeaturesRequest(
        updates=[
            request(item(set=ONE), request_id=str(REQUEST_ID)),
            request(item(set=ONE), validate_only=True),
            pb.UpdateFeaturesRequest(),
        ],
        request_id="junk",
    )
    with pytest.raises(InvalidValue) as refused:
        read_update_batch(asked, Limits())
    assert [violation.field for violation in refused.value.violations] == [
        "request_id",
        "updates[0].request_id",
        "updates[1].validate_only",
        "updates[2].key.entity_type",
        "updates[2].key.entity_id",
        "updates[2].updates",
    ]


def test_a_batch_has_something_to_do_but_not_too_much() -> None:
    with pytest.raises(InvalidValue, match="updates: must not be empty"):
        read_update_batch(pb.BatchUpdateFeaturesRequest(), Limits())
    many = pb.BatchUpdateFeaturesRequest(updates=[request(item(set=ONE))] * 1_001)
    with pytest.raises(LimitExceeded, match="At most 1,000 updates in a batch"):
        read_update_batch(many, Limits())


def test_every_kind_of_the_contract_is_known() -> None:
    assert {kind.value for kind in ValueKind} == {
        field.name for field in ValueMessage.DESCRIPTOR.oneofs_by_name["kind"].fields
    }
