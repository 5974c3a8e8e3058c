"""TLS with certificates that change while the server runs."""

import logging
from collections.abc import Sequence
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from server.watched_files import ContentRefused, WatchedFiles

log = logging.getLogger(__name__)


class Tls:
    """The server's certificate with its key, and who may vouch for clients."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """With `client_ca` every client must show a certificate that it vouches for.

        Raises SettingsRefused if the files cannot be used.
        """
        paths = [certificate, key, *([client_ca] if client_ca else [])]
        self.files = WatchedFiles("TLS certificate and key", paths, _load)
        self._mutual = client_ca is not None
        self._given = self.files.current

    def credentials(self) -> grpc.ServerCredentials:
        """What to open a port with; new connections get the newest certificate."""
        return grpc.dynamic_ssl_server_credentials(
            self._given,
            self._newer,  # type: ignore[arg-type]  # None is allowed: no change
            require_client_authentication=self._mutual,
        )

    def _newer(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by grpc before each handshake, on a thread of its own."""
        current = self.files.current
        if current is self._given:
            return None
        self._given = current
        return current


def _load(contents: Sequence[bytes]) -> grpc.ServerCertificateConfiguration:
    """Certificate and key only as a pair: one may have been read before the swap, one after it."""
    certificate, key, *client_ca = contents
    own, *_ = _certificates(certificate, "the certificate")
    if _public_key_of(key) != own.public_key().public_bytes(*_PUBLIC):
        raise ContentRefused("the key is not that of the certificate")
    for each in client_ca:
        _certificates(each, "the CA of clients")
    log.info(
        "TLS: certificate of %s until %s",
        own.subject.rfc4514_string() or "no name",
        own.not_valid_after_utc.isoformat(),
    )
    return grpc.ssl_server_certificate_configuration(
        [(key, certificate)], root_certificates=client_ca[0] if client_ca else None
    )


_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ContentRefused(f"{what} is not one in PEM: {error}") from error


def _public_key_of(pem: bytes) -> bytes:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:  # a TypeError if it is encrypted
        raise ContentRefused(f"the key is not one in PEM, unencrypted: {error}") from error
    return key.public_key().public_bytes(*_PUBLIC)
