"""What the cluster's processes share, none of it behind a lock.

`multiprocessing`'s queues, events and values are guarded by semaphores, and a process that is killed while it holds one takes it
along: all others wait for ever. Here the kernel itself hands over whole messages, one at a time, to whoever is still there.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import socket
import tempfile
import termios
import time
from array import array
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import Pipe, RawValue
from typing import IO, Any

END = "STOP"
"""What Django-Q2's roles take for the end of a queue."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1  # seconds between two looks at a full queue
_KERNEL_IS_FULL = frozenset({errno.ETOOMANYREFS, errno.ENOBUFS})


class Flag:
    """An event, once set for ever set: a byte in a pipe that nobody reads, which no dead process can keep from others."""

    def __init__(self) -> None:
        self._reader, self._writer = Pipe(duplex=False)

    def set(self) -> None:
        """Sets it, also from a signal's handler."""
        if not self.is_set():
            self._writer.send_bytes(b".")

    def is_set(self) -> bool:
        """Whether anybody has set it."""
        return self._reader.poll(0)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for it, at most so many seconds; returns whether it is set."""
        return self._reader.poll(timeout)

    def fileno(self) -> int:
        """What becomes readable, for `multiprocessing.connection.wait`."""
        return self._reader.fileno()


class Timer:
    """What the guard may know of a worker, in Django-Q2's numbers: the seconds that its task has left, or why there are none.

    The worker alone writes. The end of its time is kept, not what is left of it, so that the guard has nothing to count down.
    """

    IDLE, RECYCLED, OVER = -1.0, -2.0, 0.0

    def __init__(self) -> None:
        self._cell = RawValue("d", self.IDLE)

    @property
    def value(self) -> float:
        """Seconds left, `OVER`, `IDLE` (or busy without a limit), or `RECYCLED`."""
        cell = float(self._cell.value)
        return max(self.OVER, cell - time.monotonic()) if cell > 0 else cell

    @value.setter
    def value(self, seconds: float) -> None:
        self._cell.value = time.monotonic() + seconds if seconds > 0 else seconds

    def get_lock(self) -> AbstractContextManager[None]:
        """Nothing to hold: Django-Q2's worker asks for it."""
        return nullcontext()


class Channel:
    """A queue from some processes to others.

    A message is one byte in a socket, with an unlinked file attached: it goes to exactly one reader, whole or not at all,
    whatever its size; how many wait is how many bytes wait. What waits outlives its readers and writers, as long as the
    process lives that made the channel.
    """

    def __init__(self, maxsize: int = 0, *, lifted: Flag | None = None) -> None:
        """`maxsize` messages may wait (0: as many as the kernel holds, some hundreds) until `lifted` is set."""
        self._reader, self._writer = socket.socketpair()
        self._maxsize = maxsize
        self._lifted = lifted or Flag()

    def __del__(self) -> None:
        self._reader.close()
        self._writer.close()

    def put(self, message: object) -> None:
        """Adds a message, waiting for room."""
        with _packed(message) as file:
            self._await_room()
            self._send(file.fileno())

    def get(self) -> Any:
        """Waits for a message and takes it; `END` when the channel is closed and empty."""
        mark, files, _flags, _address = socket.recv_fds(self._reader, 1, 1)
        if not mark:
            return END
        with os.fdopen(files[0], "rb") as file:
            return pickle.load(file)  # noqa: S301 - it comes from a process of this cluster

    def close(self) -> None:
        """Ends it for all processes: what waits is still read, nothing can be added."""
        self._writer.shutdown(socket.SHUT_WR)

    def qsize(self) -> int:
        """How many messages wait."""
        count = array("i", [0])
        fcntl.ioctl(self._reader, termios.FIONREAD, count)
        return count[0]

    def empty(self) -> bool:
        """Whether no message waits."""
        return not self.qsize()

    def _await_room(self) -> None:
        pause = _SHORTEST_PAUSE
        while 0 < self._maxsize <= self.qsize() and not self._lifted.wait(pause):
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _send(self, file: int) -> None:
        while True:
            try:
                socket.send_fds(self._writer, [b"."], [file])
            except OSError as error:
                if error.errno not in _KERNEL_IS_FULL:
                    raise
                time.sleep(_LONGEST_PAUSE)
            else:
                return


class ResultChannel(Channel):
    """Finished tasks. One whose result cannot leave its process is a failed one, not a silently lost one."""

    def put(self, message: Any) -> None:
        """Adds a finished task, as Django-Q2's worker makes it."""
        try:
            super().put(message)
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
            super().put({**message, "success": False, "result": f"The result cannot be stored: {error}"})


def _packed(message: object) -> IO[bytes]:
    file = _unlinked_file()
    try:
        pickle.dump(message, file)
        file.seek(0)  # the reader shares the position, and `seek` writes what is buffered
    except BaseException:
        file.close()
        raise
    return file


def _unlinked_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # Linux
        return os.fdopen(os.memfd_create("message"), "w+b")
    return tempfile.TemporaryFile()
