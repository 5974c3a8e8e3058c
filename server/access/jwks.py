"""Keys that tokens are signed with, out of a JSON Web Key Set."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from server.process.watched_files import ContentRefused

MIN_RSA_BITS: Final = 2_048

_OF_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_OF_CURVES: Final = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
ALGORITHMS: Final = frozenset(_OF_RSA).union(*_OF_CURVES.values())
"""Asymmetric ones alone: who can check a token must not be able to make one."""

log = logging.getLogger(__name__)


class SigningKey(NamedTuple):
    """A public key."""

    kid: str | None
    algorithms: tuple[str, ...]
    """What may be signed with it; never more than what fits its kind."""
    key: Any


def matching(keys: Sequence[SigningKey], kid: str | None) -> list[SigningKey]:
    """Those that a token which names `kid` may be signed with."""
    return [key for key in keys if kid is None or key.kid is None or key.kid == kid]


def read_keys(content: bytes) -> tuple[SigningKey, ...]:
    """The keys of a set; what is not for signatures or not known here is left out.

    Raises ContentRefused if no key is left.
    """
    try:
        listed = json.loads(content)["keys"]
        keys = tuple(key for each in listed for key in _read(each))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ContentRefused(f"is not a JSON Web Key Set: {error!r}") from error
    if not keys:
        raise ContentRefused("there is no key in it that tokens may be signed with")
    return keys


def _read(item: Mapping[str, Any]) -> Iterator[SigningKey]:
    algorithms = _algorithms_of(item)
    if not algorithms or item.get("use", "sig") != "sig":
        return
    try:
        key = jwt.PyJWK(dict(item), algorithms[0]).key
    except jwt.PyJWTError as error:
        log.warning("a key of the JSON Web Key Set is left out: %s", error)
        return
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        log.warning("an RSA key of %d bits is left out", key.key_size)
        return
    yield SigningKey(item.get("kid"), algorithms, key)


def _algorithms_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    if "d" in item:
        return ()  # a private key has no place in a set that others can read
    fitting = _OF_RSA if item.get("kty") == "RSA" else _OF_CURVES.get(str(item.get("crv")), ())
    named = item.get("alg")
    return fitting if named is None else tuple(each for each in fitting if each == named)
