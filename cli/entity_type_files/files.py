"""Files and folders of entity types, all problems of a file at once."""

from pathlib import Path

import yaml

from cli.entity_type_files.reading import DocumentReader
from featom.v1 import entity_type_pb2 as pb
from formats.strict_yaml import StrictLoader


class DefinitionRefused(Exception):
    """A file is not a definition; the message says where and why, for people."""

    def __init__(self, message: str) -> None:
        # Half of a surrogate pair, which YAML can say, cannot be printed.
        super().__init__(message.encode(errors="backslashreplace").decode())


def read_definitions(path: Path) -> list[pb.EntityType]:
    """Read a file, or every *.yaml file of a folder. Raises DefinitionRefused or OSError."""
    if path.is_dir():
        files = sorted(path.glob("*.yaml"))
        if not files:
            raise DefinitionRefused(f"{path}: there is no *.yaml file in it")
        return [each for file in files for each in read_definitions(file)]
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), StrictLoader))
    except RecursionError as error:
        raise DefinitionRefused(f"{path}: is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DefinitionRefused(f"{path}: {error}") from error
    read = [DocumentReader().read(document) for document in documents if document is not None]
    problems = [problem for reader in read for problem in reader.problems]
    if problems or not read:
        listed = "\n  ".join(problems or ["there is no entity type in it"])
        raise DefinitionRefused(f"{path}:\n  {listed}")
    return [reader.message for reader in read]
