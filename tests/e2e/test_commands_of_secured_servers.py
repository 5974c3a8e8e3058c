"""The commands about entity types, against servers with TLS, mTLS, tokens and grants."""

import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import grpc
import psutil
import pytest
from featom_client.connection import Connection
from typer.testing import CliRunner

from cli.exits import NOT_ALLOWED, SERVER_ERROR, UNAVAILABLE, USAGE
from cli.main import app
from tests.kit.authority import Authority, Issued
from tests.kit.issuer import AUDIENCE, ISSUER
from tests.kit.postgres import Postgres
from tests.kit.program import FEATOM
from tests.kit.secured_server import NOBODY, OWNER, READER, Fortress
from tests.kit.serving import ROOT, Server, serving

DEFINITION = "name: card\nfeatures: {payments: {type: int64}}\n"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Owner:
    """One who may do everything, with the options that prove it, and with worse ones."""

    def __init__(self, fortress: Fortress, folder: Path) -> None:
        self.fortress, self.folder = fortress, folder
        self.definition = self.file("card.yaml", DEFINITION)
        certificate, key = fortress.client_files
        self.options: dict[str, object] = {
            "target": fortress.server.address,
            "tls_ca": fortress.folder / "ca.crt",
            "tls_cert": certificate,
            "tls_key": key,
            "token_file": self.token_of(OWNER),
        }

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def token_of(self, subject: str) -> Path:
        return self.file(f"{subject}.jwt", f"{self.fortress.issuer.token(subject)}\n")

    def certificate(self, issued: Issued, name: str) -> dict[str, object]:
        certificate, key = issued.write(self.folder / name)
        return {"tls_cert": certificate, "tls_key": key}

    def run(self, *command: str, **options: object) -> Ended:
        """In this process. An option that is None is left out."""
        result = CliRunner().invoke(app, [*command, *self.as_options(options)])
        return Ended(result.exit_code, result.stdout, result.stderr)

    def as_options(self, options: dict[str, object]) -> list[str]:
        given = {name: value for name, value in (self.options | options).items() if value}
        return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]

    def refused(self, code: int, **options: object) -> str:
        """What `apply` says of it and who says it, in the first line; then comes what to do."""
        ended = self.run("apply", "-f", str(self.definition), **options)
        assert (ended.code, ended.out) == (code, "")
        line, *advice = ended.err.splitlines()
        assert all(each.startswith("  ") for each in advice)
        before, _, said = line.partition("featom: ")
        assert before == ""
        return said


@pytest.fixture(scope="module")
async def database(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    async with postgres.database(migrated_template) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def fortress(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    with Fortress(tmp_path_factory.mktemp("fortress")).serving(database) as serving:
        yield serving


@pytest.fixture
def owner(fortress: Fortress, tmp_path: Path) -> Owner:
    return Owner(fortress, tmp_path)


@pytest.fixture(scope="module")
def in_plaintext(fortress: Fortress, database: str) -> Iterator[Server]:
    """A server on loopback that asks for tokens, without TLS."""
    with serving(
        database,
        auth="jwt",
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_jwks=fortress.jwks,
        authorization=fortress.authorization,
    ) as server:
        yield server


def in_plaintext_to(target: str) -> dict[str, object]:
    return {"target": target, "tls_ca": None, "tls_cert": None, "tls_key": None}


class Overheard(grpc.GenericRpcHandler):
    """What callers have sent besides their requests."""

    def __init__(self) -> None:
        self.metadata: list[tuple[str, str | bytes]] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        self.metadata += handler_call_details.invocation_metadata or ()


@contextmanager
def overhearing_beyond_loopback() -> Iterator[tuple[str, Overheard]]:
    """A server in plaintext on another interface than loopback."""
    addresses = (each for found in psutil.net_if_addrs().values() for each in found)
    host = next(
        each.address
        for each in addresses
        if each.family == socket.AF_INET and not ip_address(each.address).is_loopback
    )
    overheard = Overheard()
    server = grpc.server(ThreadPoolExecutor(1), [overheard])
    port = server.add_insecure_port(f"{host}:0")
    server.start()
    try:
        yield f"{host}:{port}", overheard
    finally:
        server.stop(None).wait()


def test_every_command_works_over_mtls_with_a_token(owner: Owner) -> None:
    file = str(owner.definition)
    assert owner.run("apply", "-f", file).code == 0
    assert owner.run("diff", "-f", file).out == "card: nothing to change, at revision 1\n"
    assert "payments" in owner.run("get-type", "card").out
    assert owner.run("check", "card").out == "card: 0 aggregates checked, 0 violating\n"


def test_variables_say_what_options_say(owner: Owner) -> None:
    """In a process of its own, whose whole standard error is what the command says."""
    given = {name: str(value) for name, value in owner.options.items()}
    environment = {name: value for name, value in os.environ.items() if "FEATOM_" not in name}
    environment["FEATOM_TARGET"] = given.pop("target")
    environment |= {f"FEATOM_CLIENT_{name.upper()}": value for name, value in given.items()}

    def diff(**more: str) -> Ended:
        process = subprocess.run(
            [*FEATOM, "diff", "-f", str(owner.definition)],
            env=environment | more,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        return Ended(process.returncode, process.stdout, process.stderr)

    good = diff()
    assert good.err == ""
    assert good.out.startswith("card: ")
    stranger = str(owner.file("stranger.crt", Authority("stranger").certificate))
    for variable, value, said, code in (
        ("TLS_CA", stranger, "not vouched for", UNAVAILABLE),
        ("TLS_SERVER_NAME", "elsewhere.test", "not for elsewhere.test", UNAVAILABLE),
        ("TLS_CERT", "", "--tls-cert and --tls-key", USAGE),
        ("TOKEN_FILE", "/none.jwt", "/none.jwt: No such file", USAGE),
    ):
        bad = diff(**{f"FEATOM_CLIENT_{variable}": value})
        assert (bad.code, bad.out, len(bad.err.splitlines())) == (code, "", 1), bad
        assert said in bad.err


def test_the_name_in_the_certificate_may_be_another_than_the_host(owner: Owner) -> None:
    found = owner.run("get-type", "card", target=owner.options["target"], tls_server_name="else")
    assert "the server's certificate is not for else; see --tls-server-name" in found.err
    localhost = str(owner.options["target"]).replace("127.0.0.1", "localhost")
    assert "is not for localhost" in owner.refused(UNAVAILABLE, target=localhost)
    named = owner.run(
        "diff", "-f", str(owner.definition), target=localhost, tls_server_name="127.0.0.1"
    )
    assert named.code in (0, 1)


def test_a_token_is_read_anew_by_each_command(owner: Owner) -> None:
    token = owner.file("token", "not.a.token")
    assert owner.refused(NOT_ALLOWED, token_file=token).startswith("UNAUTHENTICATED: ")
    token.write_bytes(owner.token_of(OWNER).read_bytes())
    assert owner.run("diff", "-f", str(owner.definition), token_file=token).code in (0, 1)


def test_a_server_that_another_authority_vouches_for_is_not_asked(owner: Owner) -> None:
    for name in ("test authority", "another"):
        ca = owner.file("other.crt", Authority(name).certificate)
        assert f"the server's certificate is not vouched for by {ca}" in owner.refused(
            UNAVAILABLE, tls_ca=ca
        )
    said = owner.refused(UNAVAILABLE, tls_ca=None, tls_server_name="127.0.0.1")
    assert "the server's certificate is not vouched for by the CAs of the system" in said


def test_a_certificate_that_is_missing_or_not_accepted_is_named(owner: Owner) -> None:
    none = owner.refused(UNAVAILABLE, tls_cert=None, tls_key=None)
    assert none.endswith("the server asks for a certificate: give --tls-cert and --tls-key")
    expired = owner.fortress.authority.issue("client", valid_for=timedelta(hours=-1))
    for issued in (expired, Authority().issue("client")):
        given = owner.certificate(issued, "bad")
        said = f"the server does not accept the certificate of {given['tls_cert']}"
        assert owner.refused(UNAVAILABLE, **given).endswith(said)


def test_what_is_not_granted_is_named(owner: Owner) -> None:
    said = owner.refused(NOT_ALLOWED, token_file=owner.token_of(READER))
    assert said == "PERMISSION_DENIED: You are not allowed to: admin card."
    checked = owner.run("check", "card", token_file=owner.token_of(NOBODY))
    assert "PERMISSION_DENIED: You are not allowed to: read card, admin card." in checked.err
    by_certificate = owner.run("get-type", "card", token_file=None)
    assert "PERMISSION_DENIED: You are not allowed to: read card." in by_certificate.err


def test_a_file_that_is_not_there_or_not_what_it_should_be_is_named(owner: Owner) -> None:
    none, rubbish = owner.folder / "none", owner.file("rubbish", "rubbish")
    for option in ("tls_ca", "tls_cert", "tls_key", "token_file"):
        name = f"--{option.replace('_', '-')}"
        assert (
            owner.refused(USAGE, **{option: none}) == f"{name}: {none}: No such file or directory"
        )
    assert f"--tls-ca: {rubbish} is not one in PEM" in owner.refused(USAGE, tls_ca=rubbish)
    assert f"--tls-cert: {rubbish} is not one in PEM" in owner.refused(USAGE, tls_cert=rubbish)
    assert f"--tls-key: {rubbish} is not one in PEM" in owner.refused(USAGE, tls_key=rubbish)
    other = owner.certificate(owner.fortress.authority.issue("other"), "other")
    assert f"--tls-key: {other['tls_key']} is not that of the certificate" in owner.refused(
        USAGE, tls_key=other["tls_key"]
    )
    assert owner.refused(USAGE, tls_key=None) == "--tls-cert and --tls-key must be given together"


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"two\nlines", "tökèn".encode()])
def test_what_is_no_token_is_not_sent_and_not_shown(content: bytes, owner: Owner) -> None:
    file = owner.file("secret", content)
    said = owner.refused(USAGE, token_file=file)
    assert said == f"--token-file: {file}: must hold a token and nothing else"


def test_on_loopback_a_token_may_go_in_plaintext(owner: Owner, in_plaintext: Server) -> None:
    plain = in_plaintext_to(in_plaintext.address)
    assert owner.run("diff", "-f", str(owner.definition), **plain).code in (0, 1)
    said = owner.refused(NOT_ALLOWED, **plain, token_file=None)
    assert said.startswith("UNAUTHENTICATED: ")
    assert "--token-file" in owner.run("check", "card", **plain, token_file=None).err


@pytest.mark.parametrize(
    "target", ["featom.test:50051", "192.0.2.1:50051", "127.0.0.1.test:50051", "dns:127.0.0.1:1"]
)
def test_beyond_loopback_a_token_never_goes_in_plaintext(target: str, owner: Owner) -> None:
    said = owner.refused(USAGE, **in_plaintext_to(target))
    assert said == f"the token would go to {target} unencrypted: give --tls-ca, or --tls"


def test_a_loopback_that_a_name_only_pretends_to_be_gets_no_token(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if `localhost` were the name of another machine."""
    with overhearing_beyond_loopback() as (stranger, overheard):
        owner.refused(SERVER_ERROR, **in_plaintext_to(stranger), token_file=None)
        assert overheard.metadata != []
        overheard.metadata.clear()
        monkeypatch.setattr("cli.connection.endpoint.is_loopback", lambda host: True)
        monkeypatch.setattr(Connection, "on_loopback", True)
        assert "cannot be reached" in owner.refused(UNAVAILABLE, **in_plaintext_to(stranger))
    assert overheard.metadata == []


def test_who_speaks_tls_and_who_does_not_is_told(owner: Owner, in_plaintext: Server) -> None:
    plain = in_plaintext_to(str(owner.options["target"]))
    assert owner.refused(UNAVAILABLE, **plain).endswith(
        "the server speaks TLS: give --tls-ca, or --tls"
    )
    said = owner.refused(UNAVAILABLE, target=in_plaintext.address)
    assert f"{in_plaintext.address}: no TLS with the server, which may not speak it" in said
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        nobody = "{}:{}".format(*free.getsockname())
    assert "Connection refused" in owner.refused(UNAVAILABLE, target=nobody)
