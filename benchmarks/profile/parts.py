"""The samples, by the part of the system that they were taken in."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.profile.sampler import Function

ROOT: Final = f"{Path(__file__).parents[2]}/"
OTHER: Final = "the event loop: sockets, callbacks"
# The first that matches a function's file, from the innermost function outwards.
PARTS: Final = (
    ("asyncpg/", "asyncpg: arguments to bytes, rows from bytes"),
    (f"{ROOT}domain/", "the domain: checks, operations, the change"),
    (f"{ROOT}codec/", "the codec: stored messages parsed, changed, serialized"),
    (f"{ROOT}repository/pipeline/", "the pipeline: queues, batches, answers"),
    (f"{ROOT}repository/", "the write protocol: rows, arguments, connections"),
    (f"{ROOT}benchmarks/", "the callers"),
)


def by_part(stacks: Mapping[tuple[Function, ...], int]) -> Counter[str]:
    """How many samples were taken in each part."""
    parts: Counter[str] = Counter()
    for stack, count in stacks.items():
        parts[_part(stack)] += count
    return parts


def by_function(
    stacks: Mapping[tuple[Function, ...], int],
) -> tuple[Counter[Function], Counter[Function]]:
    """How many samples were taken in each function itself, and in it or what it called."""
    alone: Counter[Function] = Counter()
    inclusive: Counter[Function] = Counter()
    for stack, count in stacks.items():
        alone[stack[0]] += count
        for function in set(stack):
            inclusive[function] += count
    return alone, inclusive


def place(function: Function) -> str:
    """The function as people write it."""
    file = function.file.removeprefix(ROOT)
    for folder in ("site-packages/", "lib/python3.11/"):
        file = file.rpartition(folder)[2]
    return f"{function.name} ({file})"


def _part(stack: tuple[Function, ...]) -> str:
    for function in stack:
        for fragment, part in PARTS:
            if fragment in function.file:
                is_bottom = part == "the callers" and function.file.endswith("__main__.py")
                return OTHER if is_bottom else part
    return OTHER
