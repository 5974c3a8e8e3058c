"""Certificates for tests, made on the spot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both as Kubernetes names them; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / "tls.crt", folder / "tls.key"
        paths[0].write_bytes(self.certificate)
        paths[1].write_bytes(self.key)
        return paths


class Authority:
    """A certificate authority of a test's own."""

    def __init__(
        self, name: str = "test authority", *, valid_for: timedelta = timedelta(hours=1)
    ) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key(), valid_for)
        self._certificate = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        ).sign(self._key, hashes.SHA256())

    @property
    def certificate(self) -> bytes:
        return self._certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        common_name: str = "",
        *,
        uris: Sequence[str] = (),
        names: Sequence[str] = (),
        valid_for: timedelta = timedelta(hours=1),
    ) -> Issued:
        """`names` are DNS names; 127.0.0.1 is always among the addresses, as servers need it."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(u) for u in uris]
        alternatives += [x509.DNSName(name) for name in names]
        alternatives.append(x509.IPAddress(ip_address("127.0.0.1")))
        certificate = (
            self._builder(x509.Name(attributes), key.public_key(), valid_for)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=not attributes)
            .sign(self._key, hashes.SHA256())
        )
        return Issued(
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, valid_for: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, now + valid_for) - timedelta(minutes=1))
            .not_valid_after(now + valid_for)
        )
