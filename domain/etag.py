"""The token for exactly one version of one aggregate.

Opaque to callers, quoted as AIP-154 asks. It holds the incarnation (uid), the epoch of the store,
which an operator raises after restoring a backup, and the version; a precondition compares all
three.
"""

import base64
import binascii
import re
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple
from uuid import UUID

_LAYOUT: Final = struct.Struct(">16sIQ")
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_ENCODED_LENGTH: Final = (_LAYOUT.size * 4 + 2) // 3
# Base64 turns three bytes into four characters, so 30 bytes do not run into their neighbours.
_PADDED: Final = struct.Struct(">16sIQ2x")
_PADDED_LENGTH: Final = _PADDED.size // 3 * 4
_QUOTED: Final = b'"%b"'
ETAG_LENGTH: Final = _ENCODED_LENGTH + 2
"""Every etag has this many characters, all ASCII."""
_TOKEN: Final = re.compile(f'"([A-Za-z0-9_-]{{{_ENCODED_LENGTH}}})"')


class Etag(NamedTuple):
    """What an etag says."""

    uid: UUID
    epoch: int
    version: int

    def __str__(self) -> str:
        """The token, with its quotes."""
        return etag_token(self.uid, self.epoch, self.version).decode()


def etag_token(uid: UUID, epoch: int, version: int) -> bytes:
    """The token, with its quotes."""
    return _QUOTED % _encoded(_PADDED.pack(uid.bytes, epoch, version))[:_ENCODED_LENGTH]


def etag_tokens(versions: Iterable[tuple[UUID, int, int]]) -> list[bytes]:
    """The token of each (uid, epoch, version), made together because they are many.

    Made for every aggregate that is served, so they are made fast.
    """
    packed = b"".join([_PADDED.pack(uid.bytes, epoch, version) for uid, epoch, version in versions])
    encoded = _encoded(packed)
    starts = range(0, len(encoded), _PADDED_LENGTH)
    return [_QUOTED % encoded[start : start + _ENCODED_LENGTH] for start in starts]


def _encoded(packed: bytes) -> bytes:
    return binascii.b2a_base64(packed, newline=False).translate(_URL_SAFE)


def parse_etag(token: str) -> Etag:
    """Read a token. Raises ValueError if it was never an etag."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise ValueError("not an etag of this store")
    packed = base64.urlsafe_b64decode(found[1] + "=" * (-_ENCODED_LENGTH % 4))
    uid, epoch, version = _LAYOUT.unpack(packed)
    return Etag(UUID(bytes=uid), epoch, version)
