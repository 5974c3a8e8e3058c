"""An issuer of tokens, made on the spot."""

import json
import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ISSUER: Final = "https://issuer.test"
AUDIENCE: Final = "featom"


def service_account(name: str, namespace: str = "shop") -> str:
    """As Kubernetes names it in `sub`."""
    return f"system:serviceaccount:{namespace}:{name}"


class Issuer:
    """Signs tokens with one key, of the kind that its algorithm needs."""

    def __init__(self, algorithm: str = "ES256", kid: str = "key-1") -> None:
        self.kid = kid
        self._algorithm = algorithm
        self._key: Any
        if algorithm == "EdDSA":
            self._key = ed25519.Ed25519PrivateKey.generate()
        elif algorithm.startswith("ES"):
            self._key = ec.generate_private_key(ec.SECP256R1())
        else:
            self._key = rsa.generate_private_key(65537, 2048)

    @property
    def key(self) -> dict[str, Any]:
        """The public key, as one of a set."""
        algorithm: Any = get_default_algorithms()[self._algorithm]
        described: dict[str, Any] = algorithm.to_jwk(self._key.public_key(), as_dict=True)
        return described | {"kid": self.kid, "use": "sig", "alg": self._algorithm}

    def key_set(self, *others: "Issuer") -> bytes:
        """The JSON Web Key Set of this issuer, with the keys of others."""
        return json.dumps({"keys": [each.key for each in (self, *others)]}).encode()

    def token(
        self, subject: str = "alice", *, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token good for a minute; claims that are None are left out."""
        now = int(time.time())
        given: dict[str, Any] = {
            "iss": ISSUER,
            "aud": [AUDIENCE],
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + 60,
        } | claims
        kept = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(kept, self._key, self._algorithm, {"kid": self.kid} | (header or {}))
