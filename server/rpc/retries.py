"""What a client's own retries may do: deploy/client/service_config.json makes gRPC retry by itself.

gRPC sends a call again without the caller's knowledge, also when the connection broke and nobody
knows whether it was applied. With a request_id, or an etag, it is applied once all the same. A
write that has neither is blind: it is never applied by a second attempt. One that is to be
validated only is not, as there is nothing to apply.
"""

from typing import Final

from domain.errors import CommitUnknown, Unavailable
from domain.update import Deletion, Update, UpdateBatch
from server.rpc.call import Call

# Of gRPC's retry design (gRFC A6): how many attempts there were before this one, and the server's
# word on when there may be another. A negative number forbids it.
PREVIOUS_ATTEMPTS: Final = "grpc-previous-rpc-attempts"
PUSHBACK: Final = "grpc-retry-pushback-ms"


def check_retry(call: Call, write: Update | UpdateBatch | Deletion) -> None:
    """Must be called before a write is submitted.

    Raises CommitUnknown if an attempt before may have applied it and nobody could tell.
    """
    call.blind = write.request_id is None and not (
        getattr(write, "etag", None) or getattr(write, "validate_only", False)
    )
    if call.blind and _attempts_before(call):
        raise CommitUnknown(
            "An attempt of this call before may have been applied, and it has no request_id."
        )


def pushback(call: Call, error: Exception) -> tuple[tuple[str, str], ...]:
    """What the client's retries are told with an error, as metadata."""
    if not isinstance(error, Unavailable):
        return ()
    delay = -1 if call.blind else int(error.retry_after * 1_000)
    return ((PUSHBACK, str(delay)),)


def _attempts_before(call: Call) -> bool:
    return any(True for _ in call.metadata(PREVIOUS_ATTEMPTS))
