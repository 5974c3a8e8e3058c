"""The channels of a client: made at first use, and anew after a fork; one for each event loop."""

import asyncio
import os
from collections.abc import Callable
from operator import methodcaller
from types import ModuleType
from typing import Any, Final

import grpc
import grpc.aio

from featom_client.connection import Connection
from featom_client.contract import answer_class
from featom_client.errors import ClientClosed
from featom_client.retries import Timeouts

_serialize: Final = methodcaller("SerializeToString")

Method = Callable[..., Any]


def open_channel(kind: ModuleType, connection: Connection, timeouts: Timeouts) -> Any:
    """A channel of `kind`: grpc or grpc.aio."""
    credentials, options = connection.credentials(), connection.options(timeouts)
    if credentials is None:
        return kind.insecure_channel(connection.target, options)
    return kind.secure_channel(connection.target, credentials, options)


class _Methods:
    """The methods of one channel, by name."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self._known: dict[str, Method] = {}

    def get(self, name: str) -> Method:
        if name not in self._known:
            self._known[name] = self.channel.unary_unary(
                name,
                request_serializer=_serialize,
                response_deserializer=answer_class(name).FromString,
            )
        return self._known[name]


class Channel:
    """The channel of a process."""

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        self._connection = connection
        self._timeouts = timeouts
        self._methods: _Methods | None = None
        self._inherited: list[_Methods] = []
        """Of the process that this one was forked from. It belongs to that one: only kept."""
        self._process = os.getpid()
        self._closed = False

    def method(self, name: str) -> Method:
        """Raises ClientClosed."""
        if self._closed:
            raise ClientClosed("the client is closed")
        if self._process != os.getpid():
            self._forget()
        if self._methods is None:
            self._methods = _Methods(open_channel(grpc, self._connection, self._timeouts))
        return self._methods.get(name)

    def close(self) -> None:
        self._closed = True
        if self._process != os.getpid():
            self._forget()
        if self._methods is not None:
            self._methods.channel.close()
            self._methods = None

    def _forget(self) -> None:
        if self._methods is not None:
            self._inherited.append(self._methods)
        self._methods = None
        self._process = os.getpid()


class AsyncChannels:
    """A channel for each event loop that makes calls."""

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        self._connection = connection
        self._timeouts = timeouts
        self._methods: dict[asyncio.AbstractEventLoop, _Methods] = {}
        self._closed = False

    def method(self, name: str) -> Method:
        """Raises ClientClosed."""
        if self._closed:
            raise ClientClosed("the client is closed")
        loop = asyncio.get_running_loop()
        methods = self._methods.get(loop)
        if methods is None:
            self._forget_loops_that_ended()
            channel = open_channel(grpc.aio, self._connection, self._timeouts)
            methods = self._methods[loop] = _Methods(channel)
        return methods.get(name)

    async def close(self) -> None:
        """Close the channel of this loop, and drop those of loops that have ended."""
        self._closed = True
        methods = self._methods.pop(asyncio.get_running_loop(), None)
        self._forget_loops_that_ended()
        if methods is not None:
            await methods.channel.close()

    def _forget_loops_that_ended(self) -> None:
        for loop in [loop for loop in self._methods if loop.is_closed()]:
            del self._methods[loop]
