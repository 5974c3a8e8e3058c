"""What the access log says of a call that failed, and what it never says."""

import json
import logging
import re
from typing import Any

import pytest

from domain.errors import FeatomError, LimitExceeded, StaleEtag
from featom.v1 import aggregate_pb2, feature_store_pb2
from formats.json_lines import JsonLines
from server.access_log import access_logged
from server.rpc.call import Call
from server.rpc.middleware import with_errors, wrap
from tests.unit.server.fake_context import Aborted, FakeContext

STORE = "/featom.v1.FeatureStoreService/"


def key(entity_type: str, entity_id: str = "id-of-somebody") -> aggregate_pb2.EntityKey:
    return aggregate_pb2.EntityKey(entity_type=entity_type, entity_id=entity_id)


def update(entity_type: str) -> feature_store_pb2.UpdateFeaturesRequest:
    request = feature_store_pb2.UpdateFeaturesRequest(key=key(entity_type))
    request.updates.add(name="name_of_feature").set.string_value = "value of feature"
    return request


async def logged(
    caplog: pytest.LogCaptureFixture,
    request: bytes = b"",
    *,
    method: str = "UpdateFeatures",
    principal: str = "",
    error: FeatomError | None = None,
) -> tuple[str, dict[str, Any]]:
    """The line of a call that fails, as text and as JSON."""

    async def refuse(call: Call) -> bytes:
        call.principal = principal
        raise error or StaleEtag(7)

    context: Any = FakeContext([("x-request-id", "id-7"), ("authorization", "Bearer t0ken")])
    caplog.set_level(logging.INFO, "featom.access")
    with pytest.raises(Aborted):
        await wrap(refuse, (access_logged, with_errors))(Call(STORE + method, context, request))
    (record,) = caplog.records
    return record.getMessage(), json.loads(JsonLines().format(record))


async def test_a_line_names_reason_entity_type_principal_and_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text, fields = await logged(
        caplog, update("card").SerializeToString(), principal="jwt:fraud:scorer"
    )
    assert re.fullmatch(
        r"id-7 /featom\.v1\.FeatureStoreService/UpdateFeatures ABORTED reason=ETAG_MISMATCH"
        r" entity_type=card principal=jwt:fraud:scorer peer=ipv4:127\.0\.0\.1:1"
        r" seconds=\d+\.\d{6}",
        text,
    )
    assert fields["reason"] == "ETAG_MISMATCH"
    assert fields["entity_type"] == "card"
    assert fields["principal"] == "jwt:fraud:scorer"
    assert fields["seconds"] >= 0


async def test_no_line_says_what_is_stored_or_how_the_caller_proved_who_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text, fields = await logged(caplog, update("card").SerializeToString())
    for secret in ("id-of-somebody", "name_of_feature", "value of feature", "t0ken"):
        assert secret not in text
        assert secret not in json.dumps(fields)


async def test_of_a_batch_the_first_types_are_named_each_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ["card", "account", "card", "device", "merchant"]
    request = feature_store_pb2.BatchGetAggregatesRequest(keys=map(key, names))
    _, fields = await logged(caplog, request.SerializeToString(), method="BatchGetAggregates")
    assert fields["entity_type"] == "card,account,device,…"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\xff\xff not a message",
        update("card\nWARNING forged").SerializeToString(),
        update("x" * 70).SerializeToString(),
        update("card").SerializeToString() + bytes([0xFA, 0x7F, 0x80, 0x80, 0x48]) + bytes(2**20),
    ],
    ids=["none", "no message", "two lines", "too long", "too large to be parsed again"],
)
async def test_what_can_be_no_entity_type_or_costs_too_much_is_left_out(
    caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    text, fields = await logged(caplog, request_bytes)
    assert "\n" not in text
    assert "entity_type" not in text
    assert "entity_type" not in fields


async def test_a_batch_of_too_many_is_not_looked_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request = feature_store_pb2.BatchGetAggregatesRequest(keys=[key("card")] * 1_001)
    text, _ = await logged(
        caplog,
        request.SerializeToString(),
        method="BatchGetAggregates",
        error=LimitExceeded("keys in a request", 1_000, 1_001),
    )
    assert "reason=LIMIT_EXCEEDED peer=" in text


async def test_a_principal_with_spaces_cannot_pass_for_other_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text, _ = await logged(caplog, principal='cn:a peer=b "c"')
    assert r'principal="cn:a peer=b \"c\"" peer=ipv4' in text
