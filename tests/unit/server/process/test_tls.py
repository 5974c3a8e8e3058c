"""A certificate is used with its own key, or not at all."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from server.process.tls import Tls
from server.settings import SettingsRefused
from tests.kit.authority import Authority


def refusal(certificate: Path, key: Path, client_ca: Path | None = None) -> str:
    with pytest.raises(SettingsRefused) as refused:
        Tls(certificate, key, client_ca)
    return str(refused.value)


def test_a_pair_is_taken_and_a_new_pair_replaces_it(tmp_path: Path) -> None:
    authority = Authority()
    tls = Tls(*authority.issue("first").write(tmp_path), None)
    before = tls.files.current
    authority.issue("second").write(tmp_path)
    tls.files.refresh()
    assert tls.files.current is not before


def test_the_metrics_tell_when_the_first_certificate_of_the_chain_expires(tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue("server").write(tmp_path)
    sooner = authority.issue("another", valid_for=timedelta(minutes=30)).certificate
    certificate.write_bytes(certificate.read_bytes() + sooner)
    ends = [
        each.not_valid_after_utc.timestamp()
        for each in x509.load_pem_x509_certificates(certificate.read_bytes())
    ]
    (metric,) = Tls(certificate, key, None).metrics()
    assert len(set(ends)) == 2
    assert [(each.labels, each.value) for each in metric.samples] == [
        ({"certificate": "server"}, min(ends))
    ]


def test_the_metrics_tell_when_the_first_ca_of_clients_expires(tmp_path: Path) -> None:
    old, new = Authority("old"), Authority("new", valid_for=timedelta(hours=2))
    clients = tmp_path / "ca.crt"
    clients.write_bytes(new.certificate + old.certificate)
    (metric,) = Tls(*new.issue("server").write(tmp_path), clients).metrics()
    ends = {each.labels["certificate"]: each.value for each in metric.samples}
    first = x509.load_pem_x509_certificate(old.certificate).not_valid_after_utc
    assert set(ends) == {"server", "client_ca"}
    assert ends["client_ca"] == first.timestamp()


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    authority = Authority()
    certificate, _ = authority.issue("one").write(tmp_path / "one")
    _, key = authority.issue("other").write(tmp_path / "other")
    assert "the key is not that of the certificate" in refusal(certificate, key)


def test_half_a_change_leaves_the_old_pair_in_force(tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue("first").write(tmp_path)
    tls = Tls(certificate, key, None)
    before = tls.files.current
    new = authority.issue("second")
    certificate.write_bytes(new.certificate)
    tls.files.refresh()
    assert tls.files.current is before
    key.write_bytes(new.key)
    tls.files.refresh()
    assert tls.files.current is not before


def test_what_is_no_pem_is_refused_with_the_file_that_is_to_blame(tmp_path: Path) -> None:
    certificate, key = Authority().issue("one").write(tmp_path)
    junk = tmp_path / "junk"
    junk.write_text("junk")
    assert "the certificate is not one in PEM" in refusal(junk, key)
    assert "the key is not one in PEM" in refusal(certificate, junk)
    assert "the CA of clients is not one in PEM" in refusal(certificate, key, junk)
