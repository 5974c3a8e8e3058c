"""TLS with certificates that change while the server runs."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import grpc
from cryptography import x509

from formats.pem import PemRefused, read_certificates, require_key_of
from server.process.watched_files import ContentRefused, WatchedFiles
from telemetry.metrics import Metric, MetricKind, Sample

log = logging.getLogger(__name__)


class _Loaded(NamedTuple):
    configuration: grpc.ServerCertificateConfiguration
    expiries: Mapping[str, float]
    """When the first certificate of each file expires, since 1970."""


class Tls:
    """The server's certificate with its key, and who may vouch for clients."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """With `client_ca` every client must show a certificate that it vouches for.

        Raises SettingsRefused if the files cannot be used.
        """
        paths = [certificate, key, *([client_ca] if client_ca else [])]
        self.files = WatchedFiles("TLS certificate and key", paths, _load, "tls")
        self._mutual = client_ca is not None
        self._given = self.files.current

    def credentials(self) -> grpc.ServerCredentials:
        """What to open a port with; new connections get the newest certificate."""
        return grpc.dynamic_ssl_server_credentials(
            self._given.configuration,
            self._newer,  # type: ignore[arg-type]  # None is allowed: no change
            require_client_authentication=self._mutual,
        )

    def _newer(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by grpc before each handshake, on a thread of its own."""
        current = self.files.current
        if current is self._given:
            return None
        self._given = current
        return current.configuration

    def metrics(self) -> Iterator[Metric]:
        """See telemetry.metrics.MetricSource."""
        yield Metric(
            "featom_tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of a file expires: of what the server shows, or of the CA"
            " that vouches for clients.",
            MetricKind.GAUGE,
            [
                Sample({"certificate": name}, expiry)
                for name, expiry in self.files.current.expiries.items()
            ],
        )


def _load(contents: Sequence[bytes]) -> _Loaded:
    """Certificate and key only as a pair: one may have been read before the swap, one after it."""
    certificate, key, *client_ca = contents
    try:
        shown = read_certificates(certificate, "the certificate")
        own = shown[0]
        require_key_of(own, key, "the key")
        expiries = {"server": _first_expiry(shown)}
        for each in client_ca:
            expiries["client_ca"] = _first_expiry(read_certificates(each, "the CA of clients"))
    except PemRefused as error:
        raise ContentRefused(str(error)) from error
    log.info(
        "TLS: certificate of %s until %s",
        own.subject.rfc4514_string() or "no name",
        own.not_valid_after_utc.isoformat(),
    )
    configuration = grpc.ssl_server_certificate_configuration(
        [(key, certificate)], root_certificates=client_ca[0] if client_ca else None
    )
    return _Loaded(configuration, expiries)


def _first_expiry(certificates: Sequence[x509.Certificate]) -> float:
    return min(each.not_valid_after_utc.timestamp() for each in certificates)
