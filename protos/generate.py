"""Generate the Python code of the contract, or check that it is fresh.

generated/ has the messages and stubs, client/featom_client/contract.binpb the same contract as
descriptors. Neither is edited. `--check` generates into a temporary folder and compares.

The compiler is an old one, in an environment of its own, .venv-protoc: its code works with every
later protobuf and grpcio, while that of a newer one demands its own versions at import.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from google.rpc import error_details_pb2

PROTOS: Final = Path(__file__).parent
ROOT: Final = PROTOS.parent
COMPILER: Final = ROOT / ".venv-protoc/bin/python"
PLUGINS: Final = Path(sys.executable).parent
TARGETS: Final = (Path("generated"), Path("client/featom_client/contract.binpb"))


def generate(root: Path) -> None:
    """Write all that is generated below `root`."""
    code, descriptors = (root / target for target in TARGETS)
    code.mkdir(parents=True, exist_ok=True)
    descriptors.parent.mkdir(parents=True, exist_ok=True)
    generate_code(code)
    generate_descriptors(descriptors)


def generate_code(folder: Path) -> None:
    """Write the messages, the service stubs and their type stubs."""
    compile_protos(
        f"--python_out={folder}",
        f"--grpc_python_out={folder}",
        f"--mypy_out=quiet:{folder}",
        f"--mypy_grpc_out=quiet:{folder}",
        *(f"--plugin={PLUGINS / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
        *contract("featom/**/*.proto"),
    )
    # A file without a service needs no stub of one.
    for stub in folder.rglob("*_pb2_grpc.py"):
        if "class " not in stub.read_text():
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)


def generate_descriptors(file: Path) -> None:
    """Write the public contract, and the details of its errors, as a FileDescriptorSet."""
    compile_protos(
        f"--proto_path={Path(error_details_pb2.__file__).parents[2]}",
        f"--descriptor_set_out={file}",
        "--include_imports",
        *contract("featom/v1/*.proto"),
        "google/rpc/error_details.proto",
    )


def contract(pattern: str) -> Iterable[str]:
    return (str(path.relative_to(PROTOS)) for path in sorted(PROTOS.glob(pattern)))


def compile_protos(*arguments: str) -> None:
    command = (COMPILER, "-m", "grpc_tools.protoc", f"--proto_path={PROTOS}", *arguments)
    # What the old compiler imports is deprecated by now.
    subprocess.run(command, check=True, env={"PYTHONWARNINGS": "ignore"})  # noqa: S603


def files(root: Path) -> set[Path]:
    """What is generated below `root`, as paths relative to it."""
    code, descriptors = TARGETS
    found = {
        path.relative_to(root)
        for path in (root / code).rglob("*")
        if path.suffix in {".py", ".pyi"} and path.is_file()
    }
    return found | ({descriptors} if (root / descriptors).is_file() else set())


def stale(fresh: Path) -> list[Path]:
    """The files that differ from those below `fresh`, are missing, or should not be there."""
    both = files(fresh) & files(ROOT)
    different = {path for path in both if (fresh / path).read_bytes() != (ROOT / path).read_bytes()}
    return sorted(different | (files(fresh) ^ files(ROOT)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        generate(ROOT)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        if differing := stale(Path(folder)):
            names = "\n".join(f"  {path}" for path in differing)
            sys.exit(f"This is not the code of protos/; run `make generate`:\n{names}")


if __name__ == "__main__":
    main()
