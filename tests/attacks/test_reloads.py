"""Certificate, keys and grants change while the server runs, and what is broken changes nothing."""

import time

from cryptography import x509
from cryptography.x509.oid import NameOID
from grpc import StatusCode

from tests.attacks.attacks import listing
from tests.attacks.raw_http2 import connect, tls_context
from tests.kit.authority import Authority, Issued
from tests.kit.issuer import Issuer
from tests.kit.secured_server import GRANTS, NOBODY, OWNER, Fortress, bearer


def until_said(fortress: Fortress, *texts: str) -> None:
    """Wait until the server has logged each of these once more."""
    before = [fortress.server.log.count(text) for text in texts]
    latest = time.monotonic() + 60
    while any(
        fortress.server.log.count(text) == count for text, count in zip(texts, before, strict=True)
    ):
        assert time.monotonic() < latest, fortress.server.log
        time.sleep(0.05)


def test_a_new_certificate_new_keys_and_new_grants_count_without_a_restart(
    fortress: Fortress,
) -> None:
    new = Issuer(kid="key-2")
    granted = f'  - principals: ["jwt:{NOBODY}"]\n    read: [card]\n'
    with fortress.channel() as channel:
        assert shown_certificate(fortress) == "server-1"
        assert listing(channel, bearer(new.token(OWNER)))[0] is StatusCode.UNAUTHENTICATED
        refused = listing(channel, fortress.as_caller(NOBODY), "card")
        assert refused[0] is StatusCode.PERMISSION_DENIED
        fortress.swap_certificate("server-2")
        fortress.jwks.write_bytes(fortress.issuer.key_set(new))
        fortress.authorization.write_text(GRANTS + granted)
        until_said(
            fortress,
            "TLS certificate and key: loaded anew",
            "JSON Web Key Set: loaded anew",
            "authorization file: loaded anew",
        )
        assert shown_certificate(fortress) == "server-2"
        assert listing(channel, bearer(new.token(OWNER)))[0] is StatusCode.OK
        assert listing(channel, fortress.as_caller(OWNER))[0] is StatusCode.OK
        assert listing(channel, fortress.as_caller(NOBODY), "card")[0] is StatusCode.OK
    fortress.authorization.write_text(GRANTS)


def test_a_new_ca_of_clients_counts_without_a_restart_and_so_does_that_an_old_one_is_gone(
    fortress: Fortress,
) -> None:
    another = Authority("another authority")
    old, new = fortress.client, another.issue("client")
    both = fortress.authority.certificate + another.certificate
    try:
        assert answers(fortress, old)
        assert not answers(fortress, new)
        trust(fortress, both)
        assert answers(fortress, old)
        assert answers(fortress, new)
        trust(fortress, another.certificate)
        assert not answers(fortress, old)
        assert answers(fortress, new)
    finally:
        trust(fortress, fortress.authority.certificate)
    assert answers(fortress, old)
    assert not answers(fortress, new)


def test_what_is_broken_leaves_the_old_in_force(fortress: Fortress) -> None:
    fortress.authorization.write_text("grants: [x]")
    fortress.jwks.write_text("{}")
    until_said(fortress, "grants[0]: must be a mapping", "is not a JSON Web Key Set")
    with fortress.channel() as channel:
        assert listing(channel, fortress.as_caller(OWNER), "card")[0] is StatusCode.OK
    fortress.authorization.write_text(f"{GRANTS}# mended\n")
    fortress.jwks.write_bytes(fortress.issuer.key_set() + b"\n")
    until_said(fortress, "authorization file: loaded anew", "JSON Web Key Set: loaded anew")


def test_a_broken_ca_of_clients_leaves_the_old_in_force(fortress: Fortress) -> None:
    fortress.client_ca.write_text("junk")
    until_said(fortress, "the CA of clients")
    assert answers(fortress, fortress.client)
    trust(fortress, fortress.authority.certificate + b"\n")
    assert answers(fortress, fortress.client)


def trust(fortress: Fortress, authorities: bytes) -> None:
    """Let in whom these vouch for, from the next connection on."""
    fortress.client_ca.write_bytes(authorities)
    until_said(fortress, "TLS certificate and key: loaded anew")


def answers(fortress: Fortress, client: Issued) -> bool:
    """Whether a new connection with this certificate gets through."""
    with fortress.channel(client, use_local_subchannel_pool=1) as channel:
        return listing(channel)[0] is StatusCode.OK


def shown_certificate(fortress: Fortress) -> str:
    """The name on the certificate that the server shows to a new connection."""
    with connect(fortress) as plain, tls_context(fortress).wrap_socket(plain) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    (name,) = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )
    return str(name.value)
