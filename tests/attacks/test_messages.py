"""What is too large is refused, whatever it says, and before it fills the memory."""

from collections.abc import Iterator
from typing import Any

import grpc
import psutil
import pytest
from grpc import StatusCode

from tests.attacks.attacks import MIB, STORE, answer_to, large_message, large_metadata, no_text
from tests.attacks.requests import REFLECTIONS
from tests.kit.effort import AT_ONCE
from tests.kit.secured_server import NOBODY, OWNER, Fortress

GZIP = grpc.Compression.Gzip
PLAIN = grpc.Compression.NoCompression


@pytest.fixture(scope="module")
def fortress(
    attacked_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fortress]:
    """One whose connections last: a slow machine sends a large message for longer than a second."""
    own = Fortress(tmp_path_factory.mktemp("patient"))
    with own.serving(attacked_database, max_connection_age=600) as serving:
        yield serving


@pytest.mark.parametrize("compression", [PLAIN, GZIP], ids=["plain", "a bomb"])
def test_a_message_of_64_mib_is_refused_by_grpc(
    compression: grpc.Compression, fortress: Fortress
) -> None:
    code, message = large_message(fortress, 64 * MIB, compression)
    assert code is StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in message


@pytest.mark.parametrize("compression", [PLAIN, GZIP], ids=["plain", "compressed"])
def test_a_message_above_the_limit_is_refused_with_the_limit(
    compression: grpc.Compression, fortress: Fortress
) -> None:
    code, message = large_message(fortress, 5 * MIB, compression)
    assert code is StatusCode.RESOURCE_EXHAUSTED
    assert message.startswith("At most 4,194,304 bytes in a message are allowed")


@pytest.mark.parametrize("name", REFLECTIONS)
def test_a_request_for_reflection_is_small_or_refused(name: str, fortress: Fortress) -> None:
    metadata = fortress.as_caller(OWNER)
    with fortress.channel() as channel:
        stream: Any = channel.stream_stream(name)
        call = stream(iter([bytes(2_000)]), timeout=60, metadata=metadata)
        assert call.code() is StatusCode.RESOURCE_EXHAUSTED
        assert call.details().startswith("At most 1,024 bytes in a message are allowed")


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (6 * 1_024, StatusCode.INVALID_ARGUMENT),  # it gets through, and lacks a key
        (17 * 1_024, StatusCode.RESOURCE_EXHAUSTED),
        (1_024 * 1_024, StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_metadata_of_17_kib_is_refused(size: int, code: StatusCode, fortress: Fortress) -> None:
    assert large_metadata(fortress, size)[0] is code


def test_metadata_that_is_no_text_does_not_fill_the_log(fortress: Fortress) -> None:
    before = fortress.server.log
    no_text(fortress, 20)
    told = fortress.server.log[len(before) :]
    assert told.count("GetAggregate INVALID_ARGUMENT") == 20
    assert "Traceback" not in told
    assert len(told) < 20 * 500


@pytest.mark.parametrize("method", ["BatchUpdateFeatures", "BatchGetAggregates"])
@pytest.mark.parametrize("who", [OWNER, NOBODY])
def test_a_batch_of_two_million_is_refused_at_once(
    method: str, who: str, fortress: Fortress
) -> None:
    two_million = b"\x0a\x00" * 2_000_000
    with fortress.channel(max_send_message_length=-1) as channel:
        call: Any = channel.unary_unary(f"{STORE}{method}")
        server = psutil.Process(fortress.server.process.pid)
        before = sum(server.cpu_times()[:2])
        code, _ = answer_to(call, two_million, metadata=fortress.as_caller(who))
    assert code is StatusCode.INVALID_ARGUMENT
    assert sum(server.cpu_times()[:2]) - before < AT_ONCE
