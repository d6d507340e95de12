"""Queues, events and timers of the cluster's processes, without locks.

`multiprocessing` guards its queues, events and values by semaphores: if a process is killed while it holds one, all others wait
without end. Here the kernel delivers whole messages, one at a time, to any process that is still alive.
"""

import errno
import fcntl
import mmap
import os
import pickle
import socket
import tempfile
import termios
import time
from array import array
from contextlib import AbstractContextManager, nullcontext, suppress
from ctypes import c_double, sizeof
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import IO, Any

END = "STOP"
"""Django-Q2's message for the end of a queue."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1  # seconds between two checks of a full queue
_KERNEL_IS_FULL = frozenset({errno.ETOOMANYREFS, errno.ENOBUFS})


class Flag:
    """An event that stays set: a byte in a pipe that no process reads, so a dead process cannot block others."""

    def __init__(self) -> None:
        self._reader, self._writer = Pipe(duplex=False)

    def set(self) -> None:
        """Set the flag. Safe in a signal handler."""
        if not self.is_set():
            self._writer.send_bytes(b".")

    def is_set(self) -> bool:
        return self._reader.poll(0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for at most `timeout` seconds; return True if the flag is set."""
        return self._reader.poll(timeout)

    def fileno(self) -> int:
        """Return the file descriptor for `multiprocessing.connection.wait`."""
        return self._reader.fileno()


def shared_number(value: float) -> c_double:
    """Return a number that this process shares with those forked from it.

    Its memory is anonymous: that of `multiprocessing` needs `/dev/shm`, which hardened containers lack.
    """
    number = c_double.from_buffer(mmap.mmap(-1, sizeof(c_double)))
    number.value = value
    return number


class Timer:
    """A worker's timer in Django-Q2's numbers: the seconds left for its task, or a state.

    Only the worker writes it. It stores the deadline instead of the seconds left, so the guard need not count down.
    """

    IDLE, RECYCLED, OVER = -1.0, -2.0, 0.0

    def __init__(self) -> None:
        self._cell = shared_number(self.IDLE)

    @property
    def value(self) -> float:
        """Seconds left, `OVER`, `IDLE` (or busy without a limit), or `RECYCLED`."""
        cell = float(self._cell.value)
        return max(self.OVER, cell - time.monotonic()) if cell > 0 else cell

    @value.setter
    def value(self, seconds: float) -> None:
        self._cell.value = time.monotonic() + seconds if seconds > 0 else seconds

    def get_lock(self) -> AbstractContextManager[None]:
        """Return a lock that does nothing, as Django-Q2's worker requires one."""
        return nullcontext()


class Channel:
    """A queue from some processes to others.

    A message is one byte in a socket with an unlinked file attached: exactly one reader gets it, whole, whatever its size, and
    the number of waiting bytes is the number of waiting messages. Messages outlive their readers and writers, as long as the
    process that made the channel lives.
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
        """Add a message; wait while the channel is full."""
        with _packed(message) as file:
            self._await_room()
            self._send(file.fileno())

    def get(self) -> Any:
        """Wait for a message and return it; `END` if the channel is closed and empty."""
        return self.receive()

    def receive(self, flags: int = 0) -> Any:
        """Return a message, like `get`; `flags` are those of the socket.

        Raises:
            BlockingIOError: the flags forbid to wait, and no message is there.
        """
        file_number = array("i")
        # Not `socket.recv_fds`, which ignores its flags.
        mark, attached, _flags, _address = self._reader.recvmsg(1, socket.CMSG_LEN(file_number.itemsize), flags)
        if not mark:
            return END
        file_number.frombytes(attached[0][2])
        with os.fdopen(file_number[0], "rb") as file:
            return pickle.load(file)  # noqa: S301 - it comes from a process of this cluster

    def close(self) -> None:
        """Close the channel for all processes: waiting messages can be read, none can be added."""
        self._writer.shutdown(socket.SHUT_WR)

    def fileno(self) -> int:
        """Return the file descriptor that is readable when a message waits."""
        return self._reader.fileno()

    def qsize(self) -> int:
        count = array("i", [0])
        fcntl.ioctl(self._reader, termios.FIONREAD, count)
        return count[0]

    def empty(self) -> bool:
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


class TaskChannel(Channel):
    """Tasks for the workers. Those put into `urgent` overtake others, and need no room.

    A worker that has taken an urgent one takes another kind next, if one waits: neither kind holds up the other for long.
    """

    _took_urgent = False  # by this process

    def __init__(self, maxsize: int = 0, *, lifted: Flag | None = None) -> None:
        super().__init__(maxsize, lifted=lifted)
        self.urgent = Channel()

    def get(self) -> Any:
        """Wait for a message and return it, urgent ones first and in turn; `END` if the channel is closed and empty."""
        while True:
            for is_urgent in (not self._took_urgent, self._took_urgent):
                with suppress(BlockingIOError):  # none waits, or another worker was faster
                    message = (self.urgent if is_urgent else self).receive(socket.MSG_DONTWAIT)
                    self._took_urgent = is_urgent
                    return message
            wait([self.urgent.fileno(), self.fileno()])


class ResultChannel(Channel):
    """Finished tasks. A task whose result cannot be pickled fails instead of being lost."""

    def put(self, message: Any) -> None:
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
