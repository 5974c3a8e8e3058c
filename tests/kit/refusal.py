"""How a call was refused, as a client sees it."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status


@dataclass(frozen=True)
class Refusal:
    """The status of a call that failed, with its details taken apart."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    violations: dict[str, str] = field(default_factory=dict)
    """What is wrong with which field."""
    retry_after: float | None = None
    trailing: dict[str, Any] = field(default_factory=dict)

    @property
    def told(self) -> tuple[grpc.StatusCode, str]:
        """The code and the reason."""
        return self.code, self.reason


async def refusal(call: Awaitable[object]) -> Refusal:
    """How a call is refused; it must be, and with an ErrorInfo of ours."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    error = failed.value
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, f"{error.code()} without details: {error.details()}"
    info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "featom.dev"
    retries = [detail for detail in status.details[1:] if detail.Unpack(retry)]
    for detail in status.details[1:]:
        detail.Unpack(bad_request)
    return Refusal(
        code=error.code(),
        message=status.message,
        reason=info.reason,
        metadata=dict(info.metadata),
        violations={each.field: each.description for each in bad_request.field_violations},
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retries else None,
        trailing=dict(error.trailing_metadata()),
    )
