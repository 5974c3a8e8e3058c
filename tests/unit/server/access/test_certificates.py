"""Which name of a certificate counts, and that no sort of name passes for another."""

import pytest

from domain.errors import Unauthenticated
from server.access.authentication import certified_name

CN = {"x509_common_name": [b"spiffe://prod/admin"]}
DNS = {"peer_dns": [b"one.test", b"two.test"]}
URI = {"peer_uri": [b"spiffe://prod/scorer"]}


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        (CN | DNS | URI, "uri:spiffe://prod/scorer"),
        (CN | DNS, "dns:one.test"),
        (CN, "cn:spiffe://prod/admin"),
        ({}, None),
        ({"x509_common_name": [b""]}, None),
        ({"transport_security_type": [b"ssl"]}, None),
    ],
)
def test_the_uri_counts_before_the_dns_name_and_that_before_the_common_name(
    properties: dict[str, list[bytes]], name: str | None
) -> None:
    assert certified_name(properties) == name


def test_two_uris_are_refused() -> None:
    with pytest.raises(Unauthenticated):
        certified_name({"peer_uri": [b"spiffe://prod/a", b"spiffe://prod/b"]})
