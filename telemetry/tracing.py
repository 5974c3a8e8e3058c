"""Traces: which batches and statements an update went through, and whose updates a batch held."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

Answer: TypeAlias = "asyncio.Future[Any]"


class Tracer(Protocol):
    """Records spans of time, each below the one that the running task is in.

    None of its methods raises, and none of the spans says anything of what is stored.
    """

    def follow(self, name: str, answer: Answer) -> None:
        """Record what the running task waits for, from now until there is an answer."""

    def batch(self, name: str, answers: Sequence[Answer]) -> AbstractContextManager[None]:
        """Record what the block does for all these answers together, and tie each of those that
        are followed to it, and it to each.
        """

    def statement(self, name: str) -> AbstractContextManager[None]:
        """Record a statement of SQL that the block runs, if it is part of what is recorded."""
