"""The middleware that learns who is calling; callers may be known by their TLS certificate."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from domain.errors import Unauthenticated
from server.rpc.call import Call, Context
from server.rpc.middleware import Handler, Middleware

_MAX_LENGTH: Final = 1_024


class Authenticator(Protocol):
    """One way to prove who one is."""

    async def __call__(self, context: Context) -> str | None:
        """The principal, or None if the call has no credentials of this sort.

        Must raise Unauthenticated if it has and they are not good, and AuthenticationUnavailable if
        that cannot be said now.
        """


def authenticated(authenticators: Sequence[Authenticator]) -> Middleware:
    """The principal is that of the first sort of credentials that a call has.

    Credentials that are not good refuse the call, whatever others it has.
    """

    async def principal_of(context: Context) -> str:
        for authenticate in authenticators:
            principal = await authenticate(context)
            if principal is not None:
                return principal
        raise Unauthenticated

    def middleware(handler: Handler) -> Handler:
        async def known(call: Call) -> Any:
            principal = await principal_of(call.context)
            # It goes into the audit log and the history.
            if len(principal) > _MAX_LENGTH or not principal.isprintable():
                raise Unauthenticated("The name of the caller is too long, or not printable.")
            call.principal = principal
            return await handler(call)

        return known

    return middleware


async def from_certificate(context: Context) -> str | None:
    """The principal that the client's certificate names; an Authenticator."""
    return certified_name(context.auth_context())


def certified_name(properties: Mapping[str, Iterable[bytes]]) -> str | None:
    """`uri:…`, else `dns:…`, else `cn:…`: so no sort of name can pass for another.

    A certificate with several URIs is no SPIFFE identity, and is refused; of several DNS names the
    first counts.
    """
    if len(list(properties.get("peer_uri", ()))) > 1:
        raise Unauthenticated("The certificate has more than one URI.")
    for sort, name in _SORTS.items():
        for value in filter(None, properties.get(name, ())):
            return f"{sort}:{value.decode(errors='replace')}"
    return None


# By the names that grpc gives them.
_SORTS: Final = {"uri": "peer_uri", "dns": "peer_dns", "cn": "x509_common_name"}
