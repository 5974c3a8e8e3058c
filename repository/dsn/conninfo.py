"""The text of a DSN, taken apart exactly as libpq does: as a URI, or as keywords and values.

What the parameters mean is said elsewhere (the module parameters). Nothing here puts a value into a
message: it may be a password.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_SCHEMES: Final = ("postgresql://", "postgres://")
_KEYWORD: Final = re.compile(r"\s*([^\s=]+)\s*(=?)\s*")
_HOST: Final = re.compile(r"(?:\[([^\]]+)\](?=[:/?,]|\Z)|(?!\[)([^:/?,]*))(?::([^/?,]*))?")
_PERCENT: Final = re.compile(rb"%(.{0,2})", re.DOTALL)


class NotADsn(Exception):
    """This is no DSN; the message says what is wrong with it, and holds none of its values."""


def parameters_in(dsn: str) -> dict[str, str]:
    """The parameters that a DSN names, by libpq's keywords; of those given twice the last.

    Raises NotADsn.
    """
    for scheme in _SCHEMES:
        if dsn.startswith(scheme):
            return _of_uri(dsn.removeprefix(scheme))
    if "://" in dsn.partition("=")[0]:
        raise NotADsn("a DSN begins with postgresql:// or postgres://, or is keyword=value pairs")
    return _of_keywords(dsn)


def _of_keywords(text: str) -> dict[str, str]:
    """`host=db port=5432 password='it\\'s'`, where a backslash makes the next character plain."""
    found: dict[str, str] = {}
    at = 0
    while text[at:].strip():
        named = _KEYWORD.match(text, at)
        if named is None or not named[2]:
            # Not what stands there: that may be half of a password with a space in it.
            raise NotADsn(f"there must be a keyword and = after {_last(found)}")
        value, at = _value(text, named.end(), named[1])
        found[named[1]] = value
    return found


def _value(text: str, at: int, keyword: str) -> tuple[str, int]:
    """The value that begins at a place, and where it ends."""
    quoted = text.startswith("'", at)
    at += quoted
    value = ""
    while at < len(text):
        character = text[at]
        at += 1
        if character == "'" if quoted else character.isspace():
            return value, at
        if character == "\\":
            character, at = text[at : at + 1], at + 1
        value += character
    if quoted:
        raise NotADsn(f"the value of {_shown(keyword)} has no closing quote")
    return value, at


def _last(found: Mapping[str, str]) -> str:
    return f"the value of {_shown(list(found)[-1])}" if found else "the beginning"


def _shown(keyword: str) -> str:
    """A keyword, if it can be one: it may be a part of a password."""
    return keyword if re.fullmatch("[a-z_]{1,40}", keyword) else "a keyword"


def _of_uri(text: str) -> dict[str, str]:
    """`user:password@host:port,host:port/database?keyword=value&…`"""
    found: dict[str, str] = {}
    authority = re.match("[^/@]*@", text)
    if authority:
        user, colon, password = authority[0][:-1].partition(":")
        if user:
            found["user"] = _decoded(user, "user")
        if colon and password:
            found["password"] = _decoded(password, "password")
        text = text[authority.end() :]
    lists, end = _hosts(text)
    found |= lists
    path, _, query = text[end:].partition("?")
    if path[1:]:
        found["dbname"] = _decoded(path[1:], "dbname")
    for keyword, value in _query(query):
        found[keyword] = value
    return found


def _hosts(text: str) -> tuple[dict[str, str], int]:
    """The hosts and ports of `host:port,[::1]:port,…`, and where they end."""
    hosts, ports, at = [], [], 0
    while True:
        found = _HOST.match(text, at)
        if found is None:
            raise NotADsn("a host is NAME, NAME:PORT, [IPV6] or [IPV6]:PORT")
        hosts.append(found[1] or found[2] or "")
        ports.append(found[3] or "")
        at = found.end()
        if not text.startswith(",", at):
            break
        at += 1
    lists = {"host": ",".join(hosts), "port": ",".join(ports)}
    return {keyword: _decoded(joined, keyword) for keyword, joined in lists.items() if joined}, at


def _query(text: str) -> Iterator[tuple[str, str]]:
    for each in text.removesuffix("&").split("&") if text else ():
        keyword, equals, value = each.partition("=")
        if not keyword or not equals or "=" in value:
            raise NotADsn("after ? there must be keyword=value, joined by &")
        keyword, value = _decoded(keyword, "a keyword"), _decoded(value, keyword)
        # As JDBC says it; libpq knows this one too.
        yield ("sslmode", "require") if (keyword, value) == ("ssl", "true") else (keyword, value)


def _decoded(text: str, keyword: str) -> str:
    """Without percent-encoding."""
    text = text.strip()
    if re.search(r"\s", text):
        raise NotADsn(f"in {_shown(keyword)} a space must be written as %20")

    def byte(match: "re.Match[bytes]") -> bytes:
        if not re.fullmatch(rb"[0-9A-Fa-f]{2}", match[1]) or match[1] == b"00":
            raise NotADsn(f"in {_shown(keyword)} a % is not followed by two hexadecimal digits")
        return bytes.fromhex(match[1].decode())

    try:
        return _PERCENT.sub(byte, text.encode()).decode()
    except UnicodeDecodeError:
        raise NotADsn(f"{_shown(keyword)} is not UTF-8") from None
