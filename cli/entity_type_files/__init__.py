"""Entity types as YAML files: read into messages, and written from them."""

from cli.entity_type_files.files import DefinitionRefused, read_definitions, write_definition

__all__ = ["DefinitionRefused", "read_definitions", "write_definition"]
