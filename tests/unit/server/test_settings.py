"""Settings refuse what cannot be served, and say all that is wrong."""

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


def test_a_log_format_that_does_not_exist_is_refused() -> None:
    assert refusal(log_format="xml") == "log_format must be one of text, json"


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


@pytest.mark.parametrize("name", ["health_listen", "metrics_listen"])
def test_ports_that_tell_no_values_may_be_open_beyond_loopback(name: str) -> None:
    Settings(**{name: "0.0.0.0:9464"})  # type: ignore[arg-type]
    assert refusal(**{name: "9464"}) == f"{name} must be HOST:PORT, not '9464'"
