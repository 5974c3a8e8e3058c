"""Rules in CEL, the Common Expression Language: implements domain.rules with Google's runtime."""

from repository.rules.compiler import CelCompiler

__all__ = ["CelCompiler"]
