"""The channels of a client: made at first use, and anew after a fork; one for each event loop."""

import asyncio
import os
from collections.abc import Callable
from operator import methodcaller
from typing import Any, Final

import grpc
import grpc.aio

from featom_client.connection import Connection
from featom_client.contract import answer_class
from featom_client.errors import ClientClosed
from featom_client.retries import Timeouts

_serialize: Final = methodcaller("SerializeToString")

Method = Callable[..., Any]


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
            self._methods = _Methods(self._open())
        return self._methods.get(name)

    def close(self) -> None:
        self._closed = True
        if self._process != os.getpid():
            self._forget()
        if self._methods is not None:
            self._methods.channel.close()
            self._methods = None

    @property
    def closed(self) -> bool:
        return self._closed

    def _forget(self) -> None:
        if self._methods is not None:
            self._inherited.append(self._methods)
        self._methods = None
        self._process = os.getpid()

    def _open(self) -> grpc.Channel:
        credentials = self._connection.credentials()
        options = self._connection.options(self._timeouts)
        if credentials is None:
            return grpc.insecure_channel(self._connection.target, options)
        return grpc.secure_channel(self._connection.target, credentials, options)


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
            methods = self._methods[loop] = _Methods(self._open())
        return methods.get(name)

    async def close(self) -> None:
        """Close the channel of this loop, and drop those of loops that have ended."""
        self._closed = True
        methods = self._methods.pop(asyncio.get_running_loop(), None)
        self._forget_loops_that_ended()
        if methods is not None:
            await methods.channel.close()

    @property
    def closed(self) -> bool:
        return self._closed

    def _forget_loops_that_ended(self) -> None:
        for loop in [loop for loop in self._methods if loop.is_closed()]:
            del self._methods[loop]

    def _open(self) -> grpc.aio.Channel:
        credentials = self._connection.credentials()
        options = self._connection.options(self._timeouts)
        if credentials is None:
            return grpc.aio.insecure_channel(self._connection.target, options)
        return grpc.aio.secure_channel(self._connection.target, credentials, options)
