"""Where the password of the database comes from."""

from pathlib import Path

import pytest

from repository.credentials import EntraToken, PasswordSourceUnknown, password_from

AZURE = ("AUTHORITY_HOST", "TENANT_ID", "CLIENT_ID", "FEDERATED_TOKEN_FILE")


def test_without_a_source_the_dsn_and_libpqs_variables_decide() -> None:
    assert password_from(None) is None


async def test_a_file_is_read_for_each_connection(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    password = password_from(f"file:{file}")
    assert password is not None
    assert await password() == "first"
    file.write_text("rotated")
    assert await password() == "rotated"


async def test_a_missing_file_counts_as_a_database_that_is_away(tmp_path: Path) -> None:
    password = password_from(f"file:{tmp_path / 'password'}")
    assert password is not None
    with pytest.raises(OSError, match="password"):
        await password()


async def test_a_file_that_is_no_text_counts_as_a_missing_one_and_is_not_told(
    tmp_path: Path,
) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"secret\xff")
    password = password_from(f"file:{file}")
    assert password is not None
    with pytest.raises(OSError, match="is not a text") as refused:
        await password()
    assert "secret" not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_a_pod_with_workload_identity_has_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AZURE:
        monkeypatch.setenv(f"AZURE_{name}", "x")
    assert isinstance(password_from("entra"), EntraToken)


def test_a_pod_without_workload_identity_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in AZURE:
        monkeypatch.setenv(f"AZURE_{name}", "x")
    monkeypatch.delenv("AZURE_CLIENT_ID")
    with pytest.raises(PasswordSourceUnknown, match="AZURE_CLIENT_ID"):
        password_from("entra")


@pytest.mark.parametrize("source", ["", "file:", "secret", "Entra"])
def test_any_other_source_is_refused(source: str) -> None:
    with pytest.raises(PasswordSourceUnknown):
        password_from(source)
