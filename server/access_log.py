"""The access log: a line for each call that fails, and with the level DEBUG for each call.

It says what went wrong, for whom and about which entity types, and nothing of what is stored: no
feature, no value, no entity id, no token.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from time import perf_counter
from typing import Any, Final

from google.protobuf.message import DecodeError

from domain.entity_key import entity_type_problem
from domain.errors import FeatomError
from formats.json_lines import FIELDS
from server.access.permissions import RPCS
from server.rpc.call import Call, current_call
from server.rpc.middleware import Handler

_LARGEST: Final = 1_048_576
"""Bytes of a request that is parsed once more, for its entity types: it takes a millisecond."""
_MOST_TYPES: Final = 3

log: Final = logging.getLogger("featom.access")


def access_logged(handler: Handler) -> Handler:
    """See server.rpc.middleware."""

    async def logged(call: Call) -> Any:
        current_call.set(call)
        begun = perf_counter()
        try:
            return await handler(call)
        finally:
            level = logging.INFO if call.code.value[0] else logging.DEBUG
            if log.isEnabledFor(level):
                fields = _fields(call, perf_counter() - begun)
                log.log(level, "%s", _line(call, fields), extra={FIELDS: fields})

    return logged


def _fields(call: Call, seconds: float) -> dict[str, Any]:
    fields = {
        "method": call.method,
        "code": call.code.name,
        "reason": call.reason,
        "entity_type": _entity_types(call),
        "principal": call.principal,
        "peer": call.context.peer(),
        "seconds": round(seconds, 6),
    }
    return {name: value for name, value in fields.items() if value != ""}


def _line(call: Call, fields: Mapping[str, Any]) -> str:
    named = (f"{name}={_plain(value)}" for name, value in list(fields.items())[2:])
    return " ".join((call.request_id, call.method, call.code.name, *named))


def _plain(value: Any) -> str:
    """In quotation marks where one could not tell where it ends."""
    text = f"{value:.6f}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(' "=') else text


def _entity_types(call: Call) -> str:
    """Those that a request names, as far as they can be names; several with commas."""
    found = list(dict.fromkeys(_named_types(call)))
    more = [] if len(found) <= _MOST_TYPES else ["…"]
    return ",".join([*found[:_MOST_TYPES], *more])


def _named_types(call: Call) -> Iterator[str]:
    rpc = RPCS.get(call.method)
    if rpc is None or not call.request or len(call.request) > _LARGEST:
        return
    try:
        request = call.message or rpc.request.FromString(call.request)
        needs = list(rpc.needs(request))
    except (DecodeError, FeatomError):
        return
    # What strangers send as a name may be anything, and of any length.
    yield from (each.entity_type for each in needs if not entity_type_problem(each.entity_type))
