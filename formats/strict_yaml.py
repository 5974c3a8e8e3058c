"""YAML in which nothing is lost silently."""

from typing import Any

import yaml


class KeyRepeated(yaml.YAMLError):
    """A key stands twice in one mapping."""


class KeyNotPlain(yaml.YAMLError):
    """A key is a list or a mapping."""


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if isinstance(key, (list, dict)):
                raise KeyNotPlain(f"line {key_node.start_mark.line + 1}: this cannot be a key")
            if key in seen:
                raise KeyRepeated(f"line {key_node.start_mark.line + 1}: {key} stands there twice")
            seen.add(key)
        return super().construct_mapping(node, deep)
