"""Generate the Python code of the contract into generated/, or check that it is fresh.

The output is committed and never edited. `--check` generates into a temporary folder and compares.
"""

import argparse
import filecmp
import importlib.resources
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

PROTOS = Path(__file__).parent
GENERATED = PROTOS.parent / "generated"
SCRIPTS = Path(sys.executable).parent


def generate(target: Path) -> None:
    """Write the messages, the service stubs and their type stubs below `target`."""
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    arguments = [
        "protoc",
        f"--proto_path={PROTOS}",
        f"--proto_path={well_known}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
        *(f"--plugin={SCRIPTS / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
        *(str(path.relative_to(PROTOS)) for path in sorted(PROTOS.glob("featom/**/*.proto"))),
    ]
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")
    # A file without a service needs no stub of one.
    for stub in target.rglob("*_pb2_grpc.py"):
        if "class " not in stub.read_text():
            stub.unlink()
            stub.with_suffix(".pyi").unlink(missing_ok=True)


def files(folder: Path) -> set[Path]:
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in {".py", ".pyi"}
    }


def stale(fresh: Path) -> list[Path]:
    """The files of generated/ that differ from those below `fresh`."""
    both = files(fresh) | files(GENERATED)
    _, different, missing = filecmp.cmpfiles(fresh, GENERATED, map(str, both), shallow=False)
    return sorted(map(Path, different + missing))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        GENERATED.mkdir(exist_ok=True)
        generate(GENERATED)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        if differing := stale(Path(folder)):
            names = "\n".join(f"  generated/{path}" for path in differing)
            sys.exit(f"The generated code is not that of protos/; run `make generate`:\n{names}")


if __name__ == "__main__":
    main()
