"""Lists of the versions of one aggregate: requests, page tokens and responses."""

import base64
from typing import Final
from uuid import UUID

from codec.timestamps import encode_timestamp
from codec.wire import nested, tag
from domain.entity_key import EntityKey, key_violations
from domain.limits import DEFAULT_PAGE, MAX_PAGE_BYTES, Limits
from domain.ports import ChangePosition, HistoryPage, HistoryQuery
from domain.timestamp import timestamp_problem
from featom.v1 import feature_store_pb2 as pb
from server.conversion.fields import Violations, read_key, read_uuid
from server.conversion.reads import read_page_size

_CHANGES: Final = tag(pb.ListAggregateVersionsResponse, "changes")
_ORDERS: Final = {
    pb.VERSION_ORDER_UNSPECIFIED: True,
    pb.VERSION_ORDER_NEWEST_FIRST: True,
    pb.VERSION_ORDER_OLDEST_FIRST: False,
}
"""Whether the newest change comes first."""
_JUNK: Final = "is not a page token of this store"
_LARGEST_VERSION: Final = 2**63 - 1


def read_list_versions(request: pb.ListAggregateVersionsRequest, limits: Limits) -> HistoryQuery:
    key = read_key(request.key)
    violations = Violations(key_violations(key))
    uid = read_uuid(request.uid, "uid", violations)
    if request.order not in _ORDERS:
        violations.note("order", "must be one that this server knows")
    newest_first = _ORDERS.get(request.order, True)
    limit = read_page_size(request.page_size, DEFAULT_PAGE, limits.batch_keys, violations)
    after = None
    if request.page_token:
        try:
            after = _read_token(request.page_token, key, uid, newest_first=newest_first)
        except ValueError as error:
            violations.note("page_token", str(error))
    violations.raise_if_any()
    return HistoryQuery(key, limit, MAX_PAGE_BYTES, uid, after, newest_first)


def versions_token(query: HistoryQuery, end: ChangePosition) -> str:
    """The token that continues a list behind a change. It names the list that it belongs to."""
    parts = (*_list_of(query.key, query.uid, newest_first=query.newest_first), *map(str, end))
    return base64.urlsafe_b64encode("\n".join(parts).encode()).decode().rstrip("=")


def list_versions_response(query: HistoryQuery, page: HistoryPage) -> bytes:
    """A change is stored as it is served."""
    rest = pb.ListAggregateVersionsResponse()
    if page.end is not None:
        rest.next_page_token = versions_token(query, page.end)
    encode_timestamp(page.history_begin, rest.history_begin_time)
    changes = (nested(_CHANGES, change) for change in page.changes)
    return b"".join((*changes, rest.SerializeToString()))


def _list_of(key: EntityKey, uid: UUID | None, *, newest_first: bool) -> tuple[str, ...]:
    return (*key, "" if uid is None else str(uid), "newest" if newest_first else "oldest")


def _read_token(
    token: str, key: EntityKey, uid: UUID | None, *, newest_first: bool
) -> ChangePosition:
    """Raises ValueError."""
    padded = token + "=" * (-len(token) % 4)
    try:
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        *of_list, change_uid, version, commit_time = text.split("\n")
        position = ChangePosition(UUID(change_uid), int(version), int(commit_time))
    except ValueError as error:
        raise ValueError(_JUNK) from error
    if len(of_list) != 4 or not 0 <= position.version <= _LARGEST_VERSION:
        raise ValueError(_JUNK)
    if timestamp_problem(position.commit_time):
        raise ValueError(_JUNK)
    if tuple(of_list) != _list_of(key, uid, newest_first=newest_first):
        raise ValueError("continues a list of another key, uid or order")
    return position
