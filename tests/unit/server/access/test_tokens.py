"""A token is good if the issuer signed it, for us, and it is its time; nothing else is."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.errors import AuthenticationUnavailable, Unauthenticated
from server.access import tokens as module
from server.access.jwks import SigningKey, matching, read_keys
from server.access.tokens import LEEWAY, MAX_REMEMBERED, MAX_TOKEN_LENGTH, Tokens, bearer_token
from tests.kit.issuer import AUDIENCE, ISSUER, Issuer, service_account

GOOD = Issuer()
STRANGER = Issuer()


class Known:
    """Keys that a test sets."""

    def __init__(self, *issuers: Issuer) -> None:
        first, *others = issuers or (GOOD,)
        self.current: Sequence[SigningKey] = read_keys(first.key_set(*others))
        self.asked = 0

    async def find(self, kid: str | None) -> Sequence[SigningKey]:
        self.asked += 1
        return matching(self.current, kid)

    async def watch(self) -> None: ...


def tokens(known: Known | None = None, **rest: Any) -> Tokens:
    return Tokens(known or Known(), ISSUER, AUDIENCE, **rest)


async def refusal(token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await tokens().subject(token)
    return str(refused.value)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "PS512", "EdDSA"])
async def test_a_token_of_the_issuer_names_its_subject(algorithm: str) -> None:
    issuer = Issuer(algorithm)
    subject = service_account("scorer")
    assert await tokens(Known(issuer)).subject(issuer.token(subject)) == subject


def in_segments(*segments: object) -> str:
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in segments]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": int(time.time()) + 600}


def signed_with_the_public_key() -> str:
    """The classic: the key that everybody has, taken for a secret."""
    (key,) = read_keys(GOOD.key_set())
    secret = key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed = in_segments({"alg": "HS256", "kid": GOOD.kid}, CLAIMS)
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{in_segments(signature)}"


def in_seconds(seconds: int) -> int:
    return int(time.time()) + seconds


# Made when they are needed: some are about the time.
BAD: dict[str, tuple[Callable[[], str], str]] = {
    "expired": (lambda: GOOD.token(exp=in_seconds(-LEEWAY - 1)), "expired"),
    "not yet valid": (lambda: GOOD.token(nbf=in_seconds(LEEWAY + 5)), "not yet valid"),
    "issued in the future": (lambda: GOOD.token(iat=in_seconds(LEEWAY + 5)), "not yet valid"),
    "for somebody else": (lambda: GOOD.token(aud="another"), "Audience"),
    "for nobody": (lambda: GOOD.token(aud=None), "aud"),
    "of another issuer": (lambda: GOOD.token(iss="https://another.test"), "issuer"),
    "without an end": (lambda: GOOD.token(exp=None), "exp"),
    "without a subject": (lambda: GOOD.token(sub=None), "sub"),
    "with an empty subject": (lambda: GOOD.token(subject=""), "subject is empty"),
    "signed by a stranger": (STRANGER.token, "no key of the issuer"),
    "with a key that is not known": (
        lambda: GOOD.token(header={"kid": "other"}),
        "no key of the issuer",
    ),
    "not signed": (lambda: in_segments({"alg": "none"}, CLAIMS, b""), "algorithm"),
    "not signed, in capitals": (lambda: in_segments({"alg": "NONE"}, CLAIMS, b""), "algorithm"),
    "signed with the public key": (signed_with_the_public_key, "algorithm"),
    "with a list for an algorithm": (
        lambda: in_segments({"alg": ["ES256"]}, CLAIMS, b"x"),
        "algorithm",
    ),
    "of another kind of key": (
        lambda: in_segments({"alg": "RS256", "kid": GOOD.kid}, CLAIMS, b"x"),
        "no key of the issuer",
    ),
    "with a signature cut off": (lambda: GOOD.token()[:-10], "no key of the issuer"),
    "too long": (lambda: "x" * (MAX_TOKEN_LENGTH + 1), "too long"),
    "no token": (lambda: "x", "not accepted"),
    "no JSON": (lambda: in_segments(b"\xff", b"\xff", b"\xff"), "not accepted"),
    "deep": (lambda: in_segments(b"[" * 5_000, b"", b""), "not accepted"),
}


@pytest.mark.parametrize(("token", "why"), BAD.values(), ids=BAD)
async def test_a_token_is_refused_and_it_is_said_why(token: Callable[[], str], why: str) -> None:
    assert why in await refusal(token())


async def test_a_good_token_with_another_payload_is_refused() -> None:
    header, _, signature = GOOD.token().split(".")
    payload = in_segments(CLAIMS | {"sub": "admin"})
    assert "no key of the issuer" in await refusal(f"{header}.{payload}.{signature}")


async def test_clocks_may_differ_a_little() -> None:
    now = int(time.time())
    assert await tokens().subject(GOOD.token(exp=now - LEEWAY + 3, nbf=now + LEEWAY - 3)) == "alice"


async def test_a_token_is_verified_once() -> None:
    known = Known()
    verifier = tokens(known)
    token = GOOD.token()
    for _ in range(3):
        await verifier.subject(token)
    assert known.asked == 1


async def test_a_token_that_has_expired_is_not_remembered_any_more() -> None:
    known = Known()
    clock = [time.time()]
    verifier = tokens(known, now=lambda: clock[0])
    token = GOOD.token(exp=in_seconds(60))
    await verifier.subject(token)
    clock[0] += 60 + LEEWAY - 2
    await verifier.subject(token)
    assert known.asked == 1
    clock[0] += 4
    await verifier.subject(token)
    assert known.asked == 2


async def test_a_token_that_was_good_is_refused_once_its_key_is_gone() -> None:
    known = Known(GOOD, STRANGER)
    verifier = tokens(known)
    token = GOOD.token()
    await verifier.subject(token)
    known.current = read_keys(STRANGER.key_set())
    with pytest.raises(Unauthenticated):
        await verifier.subject(token)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_REMEMBERED > 1_000
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    known = Known()
    verifier = tokens(known)
    first = GOOD.token("first")
    for token in (first, GOOD.token("second"), GOOD.token("third"), first):
        await verifier.subject(token)
    assert known.asked == 4


async def test_a_token_that_cannot_be_judged_is_not_refused() -> None:
    class Away(Known):
        async def find(self, kid: str | None) -> Sequence[SigningKey]:
            raise AuthenticationUnavailable

    with pytest.raises(AuthenticationUnavailable):
        await tokens(Away()).subject(GOOD.token())


def test_the_token_is_that_of_the_header() -> None:
    assert bearer_token([("x", "y")]) is None
    assert bearer_token([("authorization", "Bearer abc")]) == "abc"
    assert bearer_token([("authorization", "bearer  abc")]) == "abc"


@pytest.mark.parametrize(
    "values", [["abc"], ["Basic abc"], ["Bearer"], ["Bearer "], ["Bearer a"] * 2]
)
def test_a_header_that_is_something_else_is_refused(values: list[str]) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token([("authorization", value) for value in values])
