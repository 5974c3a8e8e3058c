"""Settings refuse what cannot be served, and say all that is wrong."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cli.main import app
from cli.setting_options import with_settings
from cli.settings_table import PAGE, with_table
from server.main import summary
from server.setting import settings_of
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
    "max_waiting_bytes",
    "max_unsent_bytes",
    "max_streams",
    "handshake_timeout",
)


def refusal(**settings: Any) -> str:
    with pytest.raises(SettingsRefused) as refused:
        Settings(**settings)
    return str(refused.value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("number", [0, -1])
def test_a_number_that_must_be_positive_is_refused_otherwise(name: str, number: int) -> None:
    assert f"{name} must be more than 0, not {number}" in refusal(**{name: number})


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_none_is_refused(name: str) -> None:
    assert name in refusal(**{name: float("nan")})


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("max_waiting", 268_435_455),
        ("max_message_bytes", 1_073_741_823),
        ("max_streams", 2_147_483_647),
        ("request_id_hours", 87_600),
    ],
)
def test_a_number_that_does_not_fit_is_refused(name: str, most: int) -> None:
    fitting: dict[str, Any] = {"max_waiting_bytes": 2**31}
    assert getattr(Settings(**fitting | {name: most}), name) == most
    assert f"{name} must be at most {most:,}, not {most + 1:,}" in refusal(**{name: most + 1})


def test_a_negative_delay_is_refused_and_none_is_not() -> None:
    assert "drain_delay" in refusal(drain_delay=-0.1)
    Settings(drain_delay=0.0)


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"listen": "127.0.0.1:50051"}, 0),
        ({"listen": "[::1]:50051"}, 0),
        ({"listen": "0.0.0.0:50051", "allow_insecure": True}, 3),
        ({"listen": "0.0.0.0:50051", "allow_insecure": True, "drain_delay": 0}, 0),
        ({"listen": "127.0.0.1:50051", "drain_delay": 7}, 7),
    ],
)
def test_beyond_loopback_a_server_that_stops_gives_others_the_time_to_notice(
    settings: dict[str, Any], seconds: float
) -> None:
    assert Settings(**settings).seconds_to_be_noticed == seconds


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
    assert "--allow-insecure must say that this is meant" in refusal(listen=listen)
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
    settings = {each.name for each in settings_of(Settings)}
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


def test_a_certificate_needs_its_key_and_the_ca_of_clients_needs_both() -> None:
    assert "tls_cert and tls_key must be set together" in refusal(tls_cert=Path("c"))
    assert "tls_cert and tls_key must be set together" in refusal(tls_key=Path("k"))
    assert "tls_client_ca needs tls_cert and tls_key" in refusal(tls_client_ca=Path("ca"))


def test_listening_beyond_loopback_needs_encryption_and_to_know_the_callers() -> None:
    files: dict[str, Any] = {"tls_cert": Path("c"), "tls_key": Path("k")}
    assert "to everyone who can reach it, unencrypted:" in refusal(listen="0.0.0.0:1")
    assert "to everyone who can reach it:" in refusal(listen="0.0.0.0:1", **files)
    files["tls_client_ca"] = Path("ca")
    assert "to everyone who has a certificate of that CA:" in refusal(listen="0.0.0.0:1", **files)
    Settings(listen="0.0.0.0:1", allow_insecure=True, **files)


TOKENS: dict[str, Any] = {
    "auth": "jwt",
    "jwt_issuer": "https://issuer.test",
    "jwt_audience": "featom",
    "jwt_jwks": "https://issuer.test/jwks",
    "authorization": Path("a"),
}
MUTUAL: dict[str, Any] = {
    "auth": "mtls",
    "tls_cert": Path("c"),
    "tls_key": Path("k"),
    "tls_client_ca": Path("ca"),
    "authorization": Path("a"),
}


def test_beyond_loopback_callers_who_are_known_over_tls_need_no_flag() -> None:
    Settings(listen="0.0.0.0:1", **MUTUAL)
    Settings(listen="0.0.0.0:1", **TOKENS, tls_cert=Path("c"), tls_key=Path("k"))


def test_callers_are_known_by_token_or_certificate_or_both() -> None:
    assert Settings().auth_modes == set()
    assert Settings(**TOKENS).auth_modes == {"jwt"}
    assert Settings(**MUTUAL).auth_modes == {"mtls"}
    assert Settings(**MUTUAL | TOKENS | {"auth": "mtls,jwt"}).auth_modes == {"mtls", "jwt"}
    assert "auth must be none, or of mtls, jwt" in refusal(auth="password")


@pytest.mark.parametrize("name", ["jwt_issuer", "jwt_audience", "jwt_jwks"])
def test_tokens_need_an_issuer_an_audience_and_keys(name: str) -> None:
    assert f"auth jwt needs {name}" in refusal(**TOKENS | {name: ""})


@pytest.mark.parametrize("address", ["http://issuer.test/jwks", "ftp://x", "https:", "https://"])
def test_keys_come_over_https_or_from_a_file(address: str) -> None:
    assert "jwt_jwks must be an https URL or a file" in refusal(**TOKENS | {"jwt_jwks": address})
    Settings(**TOKENS | {"jwt_jwks": "/etc/jwks.json"})


def test_certificates_of_callers_need_an_authority() -> None:
    assert "auth mtls needs tls_client_ca" in refusal(**MUTUAL | {"tls_client_ca": None})


def test_with_authentication_it_must_be_said_who_may_do_what_and_without_it_cannot() -> None:
    assert "auth needs authorization" in refusal(**TOKENS | {"authorization": None})
    assert "authorization needs auth" in refusal(authorization=Path("a"))
    assert "rate_per_principal needs auth" in refusal(rate_per_principal=1)
    assert "rate_per_principal must be 0 or more" in refusal(**TOKENS, rate_per_principal=-1)


def test_beyond_loopback_tokens_do_for_callers_and_tls_for_the_rest() -> None:
    beyond = TOKENS | {"listen": "0.0.0.0:1"}
    assert "offers everything unencrypted:" in refusal(**beyond)
    Settings(**beyond, tls_cert=Path("c"), tls_key=Path("k"))


def test_the_largest_message_must_fit_into_what_may_wait() -> None:
    told = refusal(max_message_bytes=10, max_waiting_bytes=9)
    assert told == "max_waiting_bytes must not be less than max_message_bytes"


def test_the_table_of_the_docs_is_that_of_the_declarations() -> None:
    page = PAGE.read_text()
    assert with_table(page) == page


@pytest.mark.parametrize(
    ("arguments", "variables", "origin"),
    [
        (["--dsn", "a"], {}, "--dsn"),
        (["--dsn", "a"], {"FEATOM_DSN": "b"}, "--dsn"),
        ([], {"FEATOM_DSN": "b"}, "FEATOM_DSN"),
        ([], {}, ""),
    ],
)
def test_where_the_dsn_comes_from_is_known(
    arguments: list[str], variables: dict[str, str], origin: str
) -> None:
    found: list[str] = []
    probe = typer.Typer()
    probe.command()(with_settings(lambda given: found.append(given["dsn_from"])))
    result = CliRunner().invoke(probe, arguments, env={"FEATOM_DSN": None, **variables})
    assert result.exit_code == 0, result.output
    assert found == [origin]


def test_a_database_of_the_servers_own_is_named_by_its_folder(tmp_path: Path) -> None:
    said = summary(Settings(data_dir=tmp_path), "featom at the local socket:5432")
    assert f"database featom at the local socket:5432 (its own, in {tmp_path})" in said
