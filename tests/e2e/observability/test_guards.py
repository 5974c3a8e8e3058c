"""What a server that lets few in tells of what guards it."""

import time

import grpc
import pytest
from cryptography import x509

from tests.attacks.attacks import listing
from tests.kit.scraping import scrape
from tests.kit.secured_server import GRANTS, OWNER, Fortress
from tests.kit.waiting import eventually

EXPIRY = "featom_tls_certificate_expiry_timestamp_seconds"


def value(fortress: Fortress, name: str, **labels: str) -> float:
    return scrape(fortress.server).value(name, **labels)


async def test_a_file_that_cannot_be_used_is_counted_until_it_is_mended(guarded: Fortress) -> None:
    failures = "featom_reload_failures_total"
    assert value(guarded, failures, file="tls") == 0
    assert value(guarded, failures, file="authorization") == 0
    guarded.authorization.write_text("grants: [x]")
    try:
        await eventually(lambda: value(guarded, failures, file="authorization") >= 2)
    finally:
        guarded.authorization.write_text(GRANTS)
    assert value(guarded, failures, file="tls") == 0


def test_an_issuer_that_does_not_answer_is_counted(guarded: Fortress) -> None:
    with guarded.channel() as channel:
        refused = listing(channel, guarded.as_caller(OWNER))
    assert refused[0] is grpc.StatusCode.UNAVAILABLE
    assert value(guarded, "featom_jwks_fetch_failures_total") >= 1


@pytest.mark.parametrize(("name", "file"), [("server", "tls.crt"), ("client_ca", "ca.crt")])
def test_the_end_of_each_certificate_is_told(guarded: Fortress, name: str, file: str) -> None:
    pem = (guarded.folder / file).read_bytes()
    ends = x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    told = value(guarded, EXPIRY, certificate=name)
    assert told == ends > time.time()


def test_a_server_that_has_lost_no_audit_line_says_so(guarded: Fortress) -> None:
    assert value(guarded, "featom_audit_lines_lost_total") == 0
