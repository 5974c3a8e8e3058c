"""The middleware that lets through only what is granted, and what grants are."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from domain.errors import PermissionDenied
from server.access.permissions import LONGEST_TYPE, RPCS, Need, Permission
from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.middleware import Handler, MessageHandler

_MAX_REMEMBERED: Final = 10_000


class Grant(NamedTuple):
    """Permissions that some principals have."""

    principals: Sequence[str]
    """Globs: `*` stands for any run without `:` and `/`, `**` for any run."""
    permissions: Mapping[Permission, Sequence[str]]
    """Globs of entity types: `*` stands for any run."""


class Grants:
    """All grants together. What no grant allows is refused."""

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self._grants = [
            (
                _any(map(_principals, grant.principals)),
                {name: _any(map(_types, globs)) for name, globs in grant.permissions.items()},
            )
            for grant in grants
        ]
        self._remembered: dict[tuple[str, Need], bool] = {}

    def refused(self, principal: str, needs: Iterable[Need]) -> list[Need]:
        """Those of the needs that the principal is not granted."""
        return [need for need in needs if not self._allows(principal, need)]

    def _allows(self, principal: str, need: Need) -> bool:
        need = need._replace(entity_type=need.entity_type[:LONGEST_TYPE])
        allowed = self._remembered.get((principal, need))
        if allowed is None:
            allowed = self._decide(principal, need)
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[principal, need] = allowed
        return allowed

    def _decide(self, principal: str, need: Need) -> bool:
        return any(
            need.permission in permissions
            and permissions[need.permission].fullmatch(need.entity_type)
            for principals, permissions in self._grants
            if principals.fullmatch(principal)
        )


def _principals(glob: str) -> str:
    parts = re.split(r"(\*+)", glob)
    runs = {"*": "[^:/]*", "**": ".*"}
    return "".join(runs.get(part) or re.escape(part) for part in parts)


def _types(glob: str) -> str:
    return ".*".join(map(re.escape, glob.split("*")))


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL)


class Authorization:
    """Compares what a request needs with what its principal is granted."""

    def __init__(self, grants: Callable[[], Grants], decode: Decoder) -> None:
        """`grants` is asked each time, as they may change."""
        self._grants = grants
        self._decode = decode

    def middleware(self, handler: Handler) -> Handler:
        """Around methods.

        A stream ends with the first message that is refused, unless `message_middleware` is around
        each of them: then that one alone is refused.
        """

        async def authorized(call: Call) -> Any:
            rpc = RPCS[call.method]
            if not rpc.by_message:
                request = self._decode(rpc.request, call.request)
                self._require(call.method, call.principal, request)
                call.stream = self._checked(call.method, call.principal, call.stream)
            return await handler(call)

        return authorized

    async def _checked(
        self, method: str, principal: str, stream: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        # It does not know its call, which knows it: a circle that would last, with the request.
        async for data in stream:
            self._require(method, principal, self._decode(RPCS[method].request, data))
            yield data

    def message_middleware(self, submit: MessageHandler) -> MessageHandler:
        """Around each message of a stream."""

        def authorized(call: Call, request: Any) -> "asyncio.Future[Any]":
            self._require(call.method, call.principal, request)
            return submit(call, request)

        return authorized

    def _require(self, method: str, principal: str, request: Any) -> None:
        """Raises PermissionDenied, naming everything that is refused."""
        needs = RPCS[method].needs(request)
        if refused := self._grants().refused(principal, needs):
            raise PermissionDenied([f"{need.permission} {need.entity_type}" for need in refused])
