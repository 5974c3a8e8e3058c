"""docs/errors.md says of every error what is really sent: code, reason, details, metadata."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode

from server.rpc.errors import to_status
from tests.unit.server.rpc.test_error_table import EXAMPLES

DOCS: Final = Path(__file__).parents[4] / "docs" / "errors.md"
QUOTED: Final = re.compile(r"`([^`]+)`")
DETAILS: Final = frozenset({"BadRequest", "PreconditionFailure", "RetryInfo"})
METADATA: Final = re.compile(r"[a-z_]+")


class Told(NamedTuple):
    """What a program learns from one error."""

    code: str
    reason: str
    details: frozenset[str]
    metadata: frozenset[str]


def documented() -> list[Told]:
    """The rows of the table of errors that carry an ErrorInfo."""
    lines = DOCS.read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    codes = {f"`{code.name}`" for code in StatusCode}
    # Those of gRPC itself have three columns.
    return [_told(*row) for row in rows if len(row) == 5 and row[0] in codes]


def _told(code: str, reason: str, when: str, details: str, advice: str) -> Told:
    words = QUOTED.findall(details)
    return Told(
        code.strip("`"),
        reason.strip("`"),
        DETAILS.intersection(words),
        frozenset(word for word in words if METADATA.fullmatch(word)),
    )


def sent() -> list[Told]:
    """Of an example of each error."""
    told = []
    for error, _, _ in EXAMPLES.values():
        code, status = to_status(error, "id-1")
        info = ErrorInfo()
        status.details[0].Unpack(info)
        details = frozenset(_name(detail) for detail in status.details[1:])
        told.append(Told(code.name, info.reason, details, frozenset(info.metadata)))
    return told


def _name(detail: Any) -> str:
    return str(detail.TypeName().rpartition(".")[2])


def test_the_table_of_errors_says_what_is_sent() -> None:
    assert set(documented()) == set(sent())


def test_no_row_of_it_stands_there_twice() -> None:
    rows = documented()
    assert len(rows) == len(set(rows)) > 20
