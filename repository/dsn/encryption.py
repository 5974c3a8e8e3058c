"""How connections are encrypted. The driver reads it from a DSN by itself, as libpq would, but for
the root certificates of the operating system, which it does not know."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

FOR_THE_DRIVER: Final = (
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcrl",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "krbsrvname",
    "gsslib",
)
"""The parameters that the driver reads from a DSN and we do not look at."""

_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_SYSTEM: Final = "system"
_VERIFYING: Final = ("verify-ca", "verify-full")


def encryption_refused(given: Mapping[str, str]) -> list[str]:
    """What cannot be done as it is asked for; found now, and not by the first who connects."""
    mode, roots = given.get("sslmode"), given.get("sslrootcert")
    problems = [
        f"{keyword} is a file that cannot be read"
        for keyword in _FILES
        if keyword in given and given[keyword] != _SYSTEM and not _is_readable(given[keyword])
    ]
    if roots == _SYSTEM and mode not in (None, "verify-full"):
        problems.append("sslrootcert=system needs sslmode=verify-full")
    if roots is None and mode in _VERIFYING and not _is_readable("~/.postgresql/root.crt"):
        problems.append(f"sslmode={mode} needs sslrootcert: a file of certificates, or system")
    encrypts = roots == _SYSTEM or mode in ("require", *_VERIFYING)
    if given.get("sslnegotiation") == "direct" and not encrypts:
        problems.append("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full")
    if roots == _SYSTEM and "sslcrl" in given:
        problems.append("sslcrl needs sslrootcert to be a file")
    return problems


def driver_dsn(given: Mapping[str, str]) -> str:
    """What the driver reads by itself; nothing else is in it."""
    left_out = {"sslmode", "sslrootcert"} if given.get("sslrootcert") == _SYSTEM else set()
    kept = {
        keyword: given[keyword]
        for keyword in FOR_THE_DRIVER
        if keyword in given and keyword not in left_out
    }
    return f"postgresql://?{urlencode(kept)}" if kept else "postgresql://"


def system_context(given: Mapping[str, str]) -> ssl.SSLContext | None:
    """What trusts the operating system's root certificates; None: the driver knows what to do."""
    if given.get("sslrootcert") != _SYSTEM:
        return None
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if least := given.get("ssl_min_protocol_version"):
        context.minimum_version = _version(least)
    if most := given.get("ssl_max_protocol_version"):
        context.maximum_version = _version(most)
    if "sslcert" in given:
        secret = given.get("sslpassword", "")
        context.load_cert_chain(given["sslcert"], given.get("sslkey"), lambda: secret)
    return context


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]


def _is_readable(name: str) -> bool:
    try:
        with Path(name).expanduser().open("rb"):
            return True
    except OSError:
        return False
