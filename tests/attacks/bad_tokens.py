"""Tokens that look right and are not."""

import base64
import json
import time
from typing import Any

from tests.kit.issuer import ISSUER, Issuer
from tests.kit.secured_server import OWNER

NOW = int(time.time())


def unsigned() -> str:
    header = {"alg": "none", "kid": "key-1"}
    claims = {"iss": ISSUER, "aud": "featom", "sub": OWNER, "exp": NOW + 600}
    parts = (base64.urlsafe_b64encode(json.dumps(each).encode()) for each in (header, claims))
    return b".".join([*(part.rstrip(b"=") for part in parts), b""]).decode()


BAD_TOKENS: dict[str, Any] = {
    "expired": lambda fortress: fortress.issuer.token(OWNER, exp=NOW - 60),
    "for another audience": lambda fortress: fortress.issuer.token(OWNER, aud="another"),
    "of another issuer": lambda fortress: fortress.issuer.token(OWNER, iss="https://another"),
    "with alg none": lambda fortress: unsigned(),
    "signed with another key": lambda fortress: Issuer().token(OWNER),
    "with a kid that is a path": lambda fortress: fortress.issuer.token(
        OWNER, header={"kid": "../../etc/passwd"}
    ),
    "junk": lambda fortress: "junk",
}
