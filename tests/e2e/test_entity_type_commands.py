"""The commands of entity types, on two server processes over one database."""

from pathlib import Path
from typing import Final, NamedTuple

from typer.testing import CliRunner

from cli.entity_type_files import read_definitions
from cli.main import app
from tests.e2e.entity_type_servers import Client, Current, clients, two_servers

__all__ = ["clients", "two_servers"]

ROOT: Final = Path(__file__).parents[2]
FRAUD: Final = ROOT / "examples" / "entity_types" / "fraud"


class Ended(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def featom(client: Client, *arguments: str) -> Ended:
    """Run a command against the server: in this process, as starting one takes a second."""
    result = CliRunner().invoke(app, arguments, env={"FEATOM_TARGET": client.address})
    return Ended(result.exit_code, result.stdout, result.stderr)


def test_the_commands(clients: list[Client], tmp_path: Path) -> None:
    client = clients[0]
    Current.name = "bank_customer"
    assert featom(client, "diff", "-f", str(FRAUD)).returncode == 1
    assert featom(client, "apply", "-f", str(FRAUD)).returncode == 0
    assert featom(client, "diff", "-f", str(FRAUD)).returncode == 0
    written = featom(client, "get-type", "bank_customer")
    (tmp_path / "customer.yaml").write_text(written.stdout)
    (read_back,) = read_definitions(tmp_path / "customer.yaml")
    assert set(read_back.features) >= {"balance", "txn_count_1h"}
    client.update(txn_count_1h=1, txn_count_24h=2)
    assert featom(client, "check", "bank_customer").returncode == 0
    (tmp_path / "tight.yaml").write_text(
        "name: bank_customer\nfeatures: {txn_count_24h: {type: int64, maximum: 1}}\n"
    )
    tight = str(tmp_path / "tight.yaml")
    checked = featom(client, "check", "bank_customer", "-f", tight)
    assert checked.returncode == 1
    assert "RANGE txn_count_24h: 1 aggregate: c-1\n" in checked.stdout
    assert "    c-1: must be at most 1, is 2\n" in checked.stdout
    refused = featom(client, "apply", "-f", tight)
    assert refused.returncode == 4
    assert "1 stored aggregates would break the entity type, txn_count_24h in 1." in refused.stderr
    assert "featom apply --accept-existing" in refused.stderr
    accepted = featom(client, "apply", "-f", tight, "--accept-existing")
    assert accepted.returncode == 0
    assert "1 stored aggregates break it" in accepted.stdout


def test_of_files_of_which_one_is_bad_nothing_is_applied(
    clients: list[Client], tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text("name: first_of_two\n")
    bad = tmp_path / "b.yaml"
    for text, said in (("name: [", "b.yaml"), ("name: first_of_two", "defined more than once")):
        bad.write_text(text)
        refused = featom(clients[0], "apply", "-f", str(tmp_path))
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr
    unknown = featom(clients[0], "get-type", "first_of_two")
    assert (unknown.returncode, unknown.stderr.split(":")[1]) == (3, " ENTITY_TYPE_NOT_FOUND")
    bad.write_text("name: second\nfeatures: {a: {type: int64, maximum: 0}}\n")
    assert featom(clients[0], "check", "second", "-f", str(tmp_path)).returncode == 0
    assert featom(clients[0], "check", "third", "-f", str(tmp_path)).returncode == 2
    assert featom(clients[0], "check", "third").returncode == 3
    assert featom(clients[0], "apply", "-f", str(tmp_path / "none.yaml")).returncode == 2
    assert featom(clients[0], "get-type", "Bad Name").returncode == 2
    assert featom(clients[0], "get-type", "x", "--target", "127.0.0.1:1").returncode == 6


def test_a_command_says_all_that_is_wrong_with_a_definition_or_how_much_it_is(
    clients: list[Client], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yaml"
    features = "".join(f"  f{n}: {{type: bool, pattern: x}}\n" for n in range(200))
    bad.write_text(
        f"name: bad\nfeatures:\n{features}rules: [{{name: r, expression: a, message: b}}]"
    )
    for command in ("apply", "diff", "check"):
        arguments = ["bad"] if command == "check" else []
        refused = featom(clients[0], command, *arguments, "-f", str(bad))
        assert refused.returncode == 2
        lines = refused.stderr.splitlines()
        # Behind the progress bar of a check.
        lines = lines[next(n for n, line in enumerate(lines) if "INVALID_VALUE" in line) :]
        assert lines[1].strip().startswith("entity_type.features[f0].pattern: makes no sense")
        assert lines[-1].strip() == f"… and {201 - (len(lines) - 2)} more"
