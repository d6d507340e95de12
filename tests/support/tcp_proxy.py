"""A TCP proxy between an environment and a server. Cutting it looks like a restart of the server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65536  # bytes
SOON = 10.0  # seconds for the wire itself to do anything

T = TypeVar("T")


class Wire:
    """Proxy connections to an address, from a loopback port that survives all cuts."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url = parts
        self._far = (parts.hostname or "127.0.0.1", parts.port)
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Return the server's address through this proxy."""
        user = f"{self._url.username}@" if self._url.username else ""
        return urlunsplit(self._url._replace(netloc=f"{user}127.0.0.1:{self._port}"))

    def cut(self) -> int:
        """Close all connections and refuse new ones; return the number closed."""
        return self._do(self._cut())

    def mend(self) -> None:
        """Accept connections again."""
        self._do(self._listen())

    def __enter__(self) -> Self:
        self._thread.start()
        self.mend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SOON)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SOON)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> int:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        ends, self._ends = self._ends, set()
        for end in ends:
            end.transport.abort()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
        return len(ends) // 2

    async def _carry(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far_in, far_out = await asyncio.open_connection(*self._far)
        ends = {near_out, far_out}
        self._ends |= ends
        await asyncio.gather(_pump(near_in, far_out), _pump(far_in, near_out))
        self._ends -= ends


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until either side is gone; then the other is closed too."""
    with suppress(ConnectionError):
        while chunk := await source.read(CHUNK):
            sink.write(chunk)
            await sink.drain()
    sink.close()
