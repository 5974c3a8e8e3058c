"""Callers who are known by their TLS certificate."""

from collections.abc import Iterable, Mapping
from typing import Final

from domain.errors import Unauthenticated
from server.access.authentication import PrincipalSort
from server.rpc.call import Context


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
