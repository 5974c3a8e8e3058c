"""Every error of the domain through a real grpc server to a real grpc client."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from domain.errors import (
    FeatomError,
    FieldViolation,
    InvalidValue,
    RateExceeded,
    RuleViolated,
    RuleViolation,
    Unavailable,
)
from server.instrumentation import common_middleware
from server.rpc.call import Call
from server.rpc.registration import register
from server.services.feature_store import SERVICE
from tests.kit.refusal import Refusal, refusal
from tests.unit.server.rpc.test_error_table import EXAMPLES

METHOD = f"/{SERVICE.full_name}/GetAggregate"


class Failing:
    """A servicer whose every method fails with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, method: str) -> Any:
        async def fail(call: Call) -> bytes:
            raise self._error

        return fail


@asynccontextmanager
async def failing_with(error: Exception) -> AsyncIterator[grpc.aio.Channel]:
    """A client of a server that always fails so."""
    server = grpc.aio.server()
    register(server, SERVICE, Failing(error), common_middleware(None, None))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(grace=5)


async def refused_with(error: Exception) -> Refusal:
    async with failing_with(error) as channel:
        call: Any = channel.unary_unary(METHOD)
        return await refusal(call(b"", metadata=(("x-request-id", "id-7"),)))


@pytest.mark.parametrize(
    "example", EXAMPLES.values(), ids=lambda example: type(example[0]).__name__
)
async def test_every_error_reaches_the_client_with_its_code_and_reason(
    example: tuple[FeatomError, grpc.StatusCode, str],
) -> None:
    error, code, reason = example
    refused = await refused_with(error)
    assert refused.told == (code, reason)
    assert (refused.retry_after is not None) == isinstance(error, Unavailable | RateExceeded)
    assert refused.trailing["x-request-id"] == "id-7"


@pytest.mark.parametrize("text", ["x", "ü", "😀", "%", "\n"], ids=ascii)
@pytest.mark.parametrize("length", [1, 100, 10_000])
async def test_however_much_is_wrong_it_fits_into_what_a_client_accepts(
    text: str, length: int
) -> None:
    fields = [FieldViolation(f"updates[{n}].set", text * length) for n in range(1_000)]
    rules = [RuleViolation("RULE", f"rule_{n}", text * length) for n in range(1_000)]
    for error in (InvalidValue(fields), RuleViolated(rules)):
        refused = await refused_with(error)
        assert refused.metadata == {"violations": "1000"}


async def test_an_unexpected_error_is_logged_with_the_id_and_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = await refused_with(RuntimeError("the secret"))
    assert refused.told == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert refused.metadata == {"request_id": "id-7"}
    assert "secret" not in refused.message + str(refused.trailing)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "id-7" in record.getMessage()
    assert "the secret" in caplog.text
