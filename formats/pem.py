"""Certificates and keys in PEM."""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)


class PemRefused(Exception):
    """It is not what it should be; the message says why, for people."""


_PUBLIC: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def read_certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    """At least one. Raises PemRefused, which calls it `what`."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise PemRefused(f"{what} is not one in PEM: {error}") from error


def require_key_of(certificate: x509.Certificate, key: bytes, what: str) -> None:
    """Raises PemRefused if the key, which it calls `what`, is another's, or cannot be used."""
    if _public_key_of(key, what) != certificate.public_key().public_bytes(*_PUBLIC):
        raise PemRefused(f"{what} is not that of the certificate")


def _public_key_of(pem: bytes, what: str) -> bytes:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:  # a TypeError if it is encrypted
        raise PemRefused(f"{what} is not one in PEM, unencrypted: {error}") from error
    return key.public_key().public_bytes(*_PUBLIC)
