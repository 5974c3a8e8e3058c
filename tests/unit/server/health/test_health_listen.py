"""Where health may be served apart from everything else."""

import pytest

from server.settings import Settings, SettingsRefused


@pytest.mark.parametrize("address", ["0.0.0.0:50052", "[::]:50052", "127.0.0.1:0"])
def test_health_may_be_served_to_anybody(address: str) -> None:
    Settings(health_listen=address)


@pytest.mark.parametrize("address", ["", "50052", ":50052", "0.0.0.0:", "0.0.0.0:x", "a:65536"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(SettingsRefused, match="health_listen"):
        Settings(health_listen=address)
