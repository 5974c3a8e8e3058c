"""Settings refuse what cannot be served, and say all that is wrong."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from server.cli import app
from server.settings import Settings, SettingsRefused

NUMBERS = (
    "lanes",
    "readers",
    "max_waiting",
    "max_message_bytes",
    "statement_timeout",
    "request_id_hours",
    "probe_interval",
    "drain_grace",
    "max_connection_age",
)


def refusal(**settings: Any) -> str:
    with pytest.raises(SettingsRefused) as refused:
        Settings(**settings)
    return str(refused.value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("number", [0, -1])
def test_a_number_that_must_be_positive_is_refused_otherwise(name: str, number: int) -> None:
    assert refusal(**{name: number}) == f"{name} must be more than 0, not {number}"


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_none_is_refused(name: str) -> None:
    assert name in refusal(**{name: float("nan")})


def test_a_negative_delay_is_refused_and_none_is_not() -> None:
    assert "drain_delay" in refusal(drain_delay=-0.1)
    Settings(drain_delay=0.0)


@pytest.mark.parametrize(
    "listen",
    ["", "50051", ":50051", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "a:²"],
)
def test_an_address_that_cannot_be_listened_on_is_refused(listen: str) -> None:
    assert refusal(listen=listen) == f"listen must be HOST:PORT, not {listen!r}"


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.9.9.9:1", "localhost:50051", "[::1]:65535"])
def test_loopback_may_be_listened_on(listen: str) -> None:
    assert Settings(listen=listen).listen == listen


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:50051", "example.org:50051"]
)
def test_listening_beyond_loopback_must_be_meant(listen: str) -> None:
    assert "allow_insecure must say that this is meant" in refusal(listen=listen)
    assert Settings(listen=listen, allow_insecure=True).listen == listen


def test_a_log_level_that_does_not_exist_is_refused() -> None:
    assert "log_level" in refusal(log_level="chatty")
    Settings(log_level="DEBUG")


def test_everything_that_is_wrong_is_named() -> None:
    told = refusal(lanes=0, readers=-1, listen="nowhere", log_level="chatty")
    assert all(name in told for name in ("lanes", "readers", "listen", "log_level"))


def test_settings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Settings().lanes = 5  # type: ignore[misc]


def test_every_setting_is_a_flag_with_a_variable_and_a_description() -> None:
    command = typer.main.get_command(app)
    serve = command.commands["serve"]  # type: ignore[attr-defined]
    settings = set(Settings.__dataclass_fields__) - {"limits"}
    assert {parameter.name for parameter in serve.params} == settings
    for parameter in serve.params:
        assert parameter.envvar == f"FEATOM_{parameter.name.upper()}"
        assert parameter.help


def test_the_command_says_what_it_refuses() -> None:
    result = CliRunner().invoke(app, ["serve", "--lanes", "0", "--listen", "0.0.0.0:1"])
    assert result.exit_code == 1
    assert "featom: lanes must be more than 0, not 0; listening on 0.0.0.0" in result.output


def test_a_certificate_needs_its_key_and_the_ca_of_clients_needs_both() -> None:
    assert "tls_cert and tls_key must be set together" in refusal(tls_cert=Path("c"))
    assert "tls_cert and tls_key must be set together" in refusal(tls_key=Path("k"))
    assert "tls_client_ca needs tls_cert and tls_key" in refusal(tls_client_ca=Path("ca"))


def test_listening_beyond_loopback_needs_encryption_and_to_know_the_callers() -> None:
    files = {"tls_cert": Path("c"), "tls_key": Path("k")}
    assert "to everyone who can reach it, unencrypted:" in refusal(listen="0.0.0.0:1")
    assert "to everyone who can reach it:" in refusal(listen="0.0.0.0:1", **files)
    Settings(listen="0.0.0.0:1", tls_client_ca=Path("ca"), **files)
