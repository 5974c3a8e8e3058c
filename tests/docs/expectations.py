"""Which pages are run, in which order; and what of them is not run, or is meant to fail."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

PAGES: Final[Sequence[str]] = (
    "README.md",
    "docs/tour.md",
    "docs/commands.md",
    "docs/rules.md",
    "docs/clients.md",
    "docs/security.md",
    "docs/operations.md",
    "docs/migrations.md",
    "docs/observability.md",
    "docs/runbooks/FeatomDatabaseCrashUnsafe.md",
    "docs/runbooks/FeatomMigrationWaits.md",
)
"""One after the other, on one server."""

_CLUSTER: Final = "needs a cluster of Kubernetes; tests/deploy checks the manifests"
_SESSION: Final = "is one session of Python; tests/client/test_docs.py runs it"
_GO: Final = "needs Go, which the project does not"

NOT_RUN: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("README.md", "make test"): "is what runs this",
        ("README.md", "grpcurl -plaintext"): "grpcurl is not of the project; buf does the same",
        ("docs/client.md", ""): _SESSION,
        ("client/README.md", ""): _SESSION,
        ("docs/clients.md", "cp deploy/client/service_config.json counter/"): _GO,
        ("docs/clients.md", "def stream_all"): "a part of a program; it is compiled",
        ("docs/clients.md", "options = ["): "a part of a program; it is compiled",
        ("docs/observability.md", "export OTEL_EXPORTER_OTLP_ENDPOINT"): "needs a collector; "
        "tests/e2e/observability has one",
        ("deploy/README.md", "kubectl"): _CLUSTER,
        ("deploy/README.md", "make dev-password"): _CLUSTER,
        ("docs/runbooks/*", "kubectl"): _CLUSTER,
        ("docs/runbooks/FeatomTokenKeysAway.md", "curl"): "needs an issuer of tokens",
        ("deploy/docker/README.md", ""): "needs Docker; `make image-check` does it",
        ("tests/*", ""): "is long, or needs Docker",
    }
)
"""By page (a glob) and how the block begins, why. What is not in PAGES has no other blocks."""

FAILS: Final[Mapping[tuple[str, str], int]] = MappingProxyType(
    {
        ("docs/commands.md", "featom diff card 4720 1 2"): 1,
        ("docs/rules.md", ".venv/bin/featom diff"): 1,
        ("docs/rules.md", '"name": "colour"'): 72,
        ("docs/security.md", ".venv/bin/featom diff"): 1,
        ("docs/security.md", "FeatureStoreService/GetAggregate"): 40,
        ("docs/security.md", "FeatureStoreService/UpdateFeatures"): 56,
        ("docs/security.md", "--tls-cert certs/scorer.crt"): 7,
        ("docs/security.md", "--tls-server-name"): 6,
    }
)
"""By page and a part of the command, the exit code that the page speaks of. That of buf is eight
times the code of the RPC's error."""

TWICE: Final[Mapping[tuple[str, str], int]] = MappingProxyType(
    {
        ("docs/tour.md", "--must-be-absent"): 5,
        ("docs/tour.md", '"request_id": "5f0c6d1e'): 0,
    }
)
"""What the reader is to run twice, and the exit code of the second time; what the page shows is of
that one."""
