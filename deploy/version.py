"""The version of a release, in every place that must name it.

`make release-version` prints it, and fails if one place names another. With VERSION=1.2.3 it writes
a new one. Each build has Jobs of its own name, since a Job cannot be changed once it is there
(docs/adr/0033).
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_VERSION: Final = r"([0-9]+\.[0-9]+\.[0-9]+)"
_DASHED: Final = r"([0-9]+-[0-9]+-[0-9]+)"
_COMPONENTS: Final = "deploy/kubernetes/components"
PLACES: Final[Mapping[str, str]] = {
    "pyproject.toml": rf'^version = "{_VERSION}"$',
    "client/pyproject.toml": rf'^version = "{_VERSION}"$',
    "Makefile": rf"^IMAGE \?= featom:{_VERSION}$",
    "deploy/docker/Dockerfile": rf"^ARG VERSION={_VERSION}$",
    "deploy/kubernetes/base/kustomization.yaml": rf"^    newTag: {_VERSION}$",
    "deploy/kubernetes/base/migration.yaml": rf"^  name: featom-migrate-{_DASHED}$",
    f"{_COMPONENTS}/backfill/kustomization.yaml": rf"value: featom-backfill-{_DASHED}$",
    f"{_COMPONENTS}/smoke/job.yaml": rf"^  name: featom-smoke-{_DASHED}$",
    f"{_COMPONENTS}/contract/kustomization.yaml": rf"value: featom-contract-{_DASHED}$",
}


def versions() -> Iterator[tuple[str, str]]:
    """Each place, and the version that it names."""
    for place, pattern in PLACES.items():
        (found,) = re.findall(pattern, (ROOT / place).read_text(), re.MULTILINE)
        yield place, found.replace("-", ".")


def write(version: str) -> None:
    """Name another version in every place. Raises ValueError if it is none."""
    if not re.fullmatch(_VERSION, version):
        raise ValueError(f"a version is three numbers with dots, not {version!r}")
    for place, pattern in PLACES.items():
        path = ROOT / place
        written = version.replace(".", "-") if _DASHED in pattern else version
        path.write_text(re.sub(pattern, _with(written), path.read_text(), flags=re.MULTILINE))


def _with(version: str) -> Callable[[re.Match[str]], str]:
    return lambda match: match[0].replace(match[1], version)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(sys.argv[1])
    named = dict(versions())
    if len(set(named.values())) > 1:
        sys.exit("\n".join(f"{version} in {place}" for place, version in named.items()))
    print(named["pyproject.toml"])
