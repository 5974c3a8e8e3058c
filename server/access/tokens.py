"""Callers who are known by a JSON Web Token, such as the service accounts of Kubernetes."""

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt

from domain.errors import Unauthenticated
from server.access.authentication import PrincipalSort
from server.access.jwks import ALGORITHMS, SigningKey
from server.access.key_sources import (
    KeysOfFile,
    KeysOfIssuer,
    KeySource,
    ObservedKeySource,
    fetching,
)
from server.rpc.call import Context
from server.settings import Settings

LEEWAY: Final = 10
"""Seconds that the clocks of issuer and server may differ."""
MAX_TOKEN_LENGTH: Final = 8_192
MAX_REMEMBERED: Final = 4_096

_OPTIONS: Final[Any] = {"require": ["exp", "iss", "aud", "sub"]}


class _Verified(NamedTuple):
    subject: str
    until: float
    keys: Sequence[SigningKey]
    """The keys that were known: with others, it is verified again."""


class Tokens:
    """Verifies each token once, and knows it until it expires or the keys change."""

    def __init__(
        self,
        keys: KeySource,
        issuer: str,
        audience: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._now = now
        # By digest: what is in memory opens no door.
        self._remembered: dict[bytes, _Verified] = {}

    async def __call__(self, context: Context) -> str | None:
        """The principal `jwt:SUBJECT`; an Authenticator."""
        token = bearer_token(context.invocation_metadata() or ())
        return None if token is None else PrincipalSort.JWT.named(await self.subject(token))

    async def subject(self, token: str) -> str:
        """Who the token stands for. Raises Unauthenticated or AuthenticationUnavailable."""
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        known = self._remembered.get(digest)
        if known is not None and known.keys is self._keys.current and self._now() < known.until:
            return known.subject
        claims = await self._verify(token)
        while len(self._remembered) >= MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        subject = str(claims["sub"])
        until = float(claims["exp"]) + LEEWAY
        self._remembered[digest] = _Verified(subject, until, self._keys.current)
        return subject

    async def _verify(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("The token is too long.")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise _refusal(error) from error
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise Unauthenticated("The token is signed with an algorithm that is not accepted.")
        for key in await self._keys.find(header.get("kid")):
            if algorithm in key.algorithms:
                try:
                    return self._decode(token, key)
                except jwt.InvalidSignatureError:
                    continue
                except jwt.InvalidTokenError as error:
                    raise _refusal(error) from error
        raise Unauthenticated("The token is signed with no key of the issuer.")

    def _decode(self, token: str, key: SigningKey) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=list(key.algorithms),
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY,
            options=_OPTIONS,
        )
        if not claims["sub"]:
            raise jwt.InvalidTokenError("the subject is empty")
        return claims


def bearer_token(metadata: Iterable[tuple[str, Any]]) -> str | None:
    """The token of a call, if it has one. Raises Unauthenticated if there are several."""
    values = [str(value) for name, value in metadata if name == "authorization"]
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise Unauthenticated("authorization must be once, and 'Bearer' with a token.")
    return token.strip()


def _refusal(error: Exception) -> Unauthenticated:
    return Unauthenticated(f"The token is not accepted: {error}.")


def known_by_token(settings: Settings) -> tuple[Tokens, ObservedKeySource]:
    """What checks tokens, and where it has its keys from, which must be watched."""
    keys = _keys(settings)
    return Tokens(keys, settings.jwt_issuer, settings.jwt_audience), keys


def _keys(settings: Settings) -> ObservedKeySource:
    if settings.jwt_jwks.startswith("https://"):
        return KeysOfIssuer(fetching(settings.jwt_jwks, settings.jwt_ca))
    return KeysOfFile(Path(settings.jwt_jwks))
