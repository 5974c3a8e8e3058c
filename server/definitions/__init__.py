"""Entity types as YAML files: read into messages, and written from them."""

from server.definitions.files import DefinitionRefused, read_definitions
from server.definitions.writing import write_definition

__all__ = ["DefinitionRefused", "read_definitions", "write_definition"]
