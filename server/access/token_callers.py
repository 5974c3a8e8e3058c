"""Callers who are known by a token, as the settings say."""

from pathlib import Path

from server.access.fetching import fetching
from server.access.key_sources import KeysOfFile, KeysOfIssuer, ObservedKeySource
from server.access.tokens import Tokens
from server.settings import Settings


def known_by_token(settings: Settings) -> tuple[Tokens, ObservedKeySource]:
    """What checks tokens, and where it has its keys from, which must be watched."""
    keys = _keys(settings)
    return Tokens(keys, settings.jwt_issuer, settings.jwt_audience), keys


def _keys(settings: Settings) -> ObservedKeySource:
    if settings.jwt_jwks.startswith("https://"):
        return KeysOfIssuer(fetching(settings.jwt_jwks, settings.jwt_ca))
    return KeysOfFile(Path(settings.jwt_jwks))
