"""Who gets through a handshake."""

from collections.abc import Callable
from datetime import timedelta

import grpc
import pytest
from grpc import StatusCode

from tests.attacks.attacks import listing
from tests.kit.authority import Authority, Issued
from tests.kit.secured_server import Fortress

STRANGERS: dict[str, Callable[[Authority], Issued | None]] = {
    "without a certificate": lambda authority: None,
    "with one that has expired": lambda authority: authority.issue(
        "client", valid_for=timedelta(hours=-1)
    ),
    "with one of another authority": lambda authority: Authority().issue("client"),
}


@pytest.mark.parametrize("sort", STRANGERS)
def test_nobody_gets_through_without_a_certificate_of_the_authority(
    sort: str, fortress: Fortress
) -> None:
    stranger = STRANGERS[sort](fortress.authority)
    with grpc.secure_channel(fortress.server.address, fortress.credentials(stranger)) as channel:
        assert listing(channel)[0] is StatusCode.UNAVAILABLE


def test_nobody_gets_through_in_plaintext(fortress: Fortress) -> None:
    with grpc.insecure_channel(fortress.server.address) as channel:
        assert listing(channel)[0] is StatusCode.UNAVAILABLE
