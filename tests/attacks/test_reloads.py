"""Certificate, keys and grants change while the server runs, and what is broken changes nothing."""

import time

from cryptography import x509
from cryptography.x509.oid import NameOID
from grpc import StatusCode

from tests.attacks.attacks import listing
from tests.attacks.fortress import GRANTS, NOBODY, OWNER, Fortress, bearer
from tests.attacks.raw_http2 import connect, tls_context
from tests.issuer import Issuer


def until_said(fortress: Fortress, *texts: str) -> None:
    """Wait until the server has logged each of these once more."""
    before = [fortress.server.log.count(text) for text in texts]
    latest = time.monotonic() + 10
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


def test_what_is_broken_leaves_the_old_in_force(fortress: Fortress) -> None:
    fortress.authorization.write_text("grants: [x]")
    fortress.jwks.write_text("{}")
    until_said(fortress, "grants[0]: must be a mapping", "is not a JSON Web Key Set")
    with fortress.channel() as channel:
        assert listing(channel, fortress.as_caller(OWNER), "card")[0] is StatusCode.OK
    fortress.authorization.write_text(GRANTS)
    fortress.jwks.write_bytes(fortress.issuer.key_set())
    until_said(fortress, "authorization file: loaded anew", "JSON Web Key Set: loaded anew")


def shown_certificate(fortress: Fortress) -> str:
    """The name on the certificate that the server shows to a new connection."""
    with connect(fortress) as plain, tls_context(fortress).wrap_socket(plain) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    (name,) = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(
        NameOID.COMMON_NAME
    )
    return str(name.value)
