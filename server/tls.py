"""TLS with certificates that change while the server runs."""

import logging
from collections.abc import Sequence
from pathlib import Path

import grpc

from server.pem import PemRefused, read_certificates, require_key_of
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
    try:
        own, *_ = read_certificates(certificate, "the certificate")
        require_key_of(own, key, "the key")
        for each in client_ca:
            read_certificates(each, "the CA of clients")
    except PemRefused as error:
        raise ContentRefused(str(error)) from error
    log.info(
        "TLS: certificate of %s until %s",
        own.subject.rfc4514_string() or "no name",
        own.not_valid_after_utc.isoformat(),
    )
    return grpc.ssl_server_certificate_configuration(
        [(key, certificate)], root_certificates=client_ca[0] if client_ca else None
    )
