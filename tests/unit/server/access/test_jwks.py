"""Which keys of a set count."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from server.access.jwks import ALGORITHMS, read_keys
from server.process.watched_files import ContentRefused
from tests.kit.issuer import Issuer

GOOD = Issuer().key


def key_set(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


def rsa_key(bits: int) -> dict[str, Any]:
    public = rsa.generate_private_key(65537, bits).public_key()
    described: dict[str, Any] = RSAAlgorithm.to_jwk(public, as_dict=True)
    return described


def test_only_asymmetric_algorithms_are_allowed() -> None:
    assert not [each for each in ALGORITHMS if each.startswith("HS") or each.lower() == "none"]


def test_a_key_is_good_for_the_algorithms_of_its_kind_and_for_its_own_alone_if_it_names_one() -> (
    None
):
    (unnamed,) = read_keys(key_set(rsa_key(2048)))
    assert set(unnamed.algorithms) == {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
    (named,) = read_keys(key_set(rsa_key(2048) | {"alg": "RS256"}))
    assert named.algorithms == ("RS256",)


LEFT_OUT = {
    "for encryption": GOOD | {"use": "enc"},
    "a secret": {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
    "an algorithm of another kind": GOOD | {"alg": "RS256"},
    "an algorithm that is not allowed": GOOD | {"alg": "HS256"},
    "a private key": GOOD | {"d": "AAAA"},
    "not on its curve": GOOD | {"x": "AAAA"},
    "a curve that is not known": GOOD | {"crv": "P-999"},
    "an RSA key too short": rsa_key(1024),
}


@pytest.mark.parametrize("key", LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_key_that_does_not_count_leaves_the_others(key: dict[str, Any]) -> None:
    (kept,) = read_keys(key_set(key, GOOD))
    assert kept.kid == GOOD["kid"]
    with pytest.raises(ContentRefused):
        read_keys(key_set(key))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"keys": 1}', b'{"keys": [1]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_key_set_is_refused(content: bytes) -> None:
    with pytest.raises(ContentRefused):
        read_keys(content)
