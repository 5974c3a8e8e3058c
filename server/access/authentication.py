"""The middleware that learns who is calling; callers may be known by their TLS certificate."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Protocol

from domain.errors import Unauthenticated
from server.rpc.call import Call, Context
from server.rpc.middleware import Handler, Middleware

_MAX_LENGTH: Final = 1_024


class PrincipalSort(StrEnum):
    """What a principal was proven by; it begins with that and a colon, so no sort of name can pass
    for another."""

    URI = "uri"
    DNS = "dns"
    COMMON_NAME = "cn"
    JWT = "jwt"

    def named(self, name: str) -> str:
        """The principal of a name."""
        return f"{self}:{name}"


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
    """`uri:…`, else `dns:…`, else `cn:…`.

    A certificate with several URIs is no SPIFFE identity, and is refused; of several DNS names the
    first counts.
    """
    if len(list(properties.get("peer_uri", ()))) > 1:
        raise Unauthenticated("The certificate has more than one URI.")
    for sort, name in _SORTS.items():
        for value in filter(None, properties.get(name, ())):
            return sort.named(value.decode(errors="replace"))
    return None


# By the names that grpc gives them.
_SORTS: Final = {
    PrincipalSort.URI: "peer_uri",
    PrincipalSort.DNS: "peer_dns",
    PrincipalSort.COMMON_NAME: "x509_common_name",
}
