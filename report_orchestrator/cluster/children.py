"""The cluster's processes: each ends with its parent, and is not ended by a signal that was meant for the whole cluster."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import Any
from uuid import uuid4

from report_orchestrator.cluster.channels import Flag, Timer

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
LOOK_FOR_PARENT = 1.0  # seconds, where the kernel does not tell
CUT_SHORT = signal.SIGUSR1
HAND_BACK = 1.0  # seconds for a worker that is cut short to hand back what it holds


class Child(ForkProcess):
    """A process in a role. `terminate` is `kill`, as it must not be ignored."""

    timer: Timer

    def __init__(
        self, role: str, target: Callable[..., object], args: tuple[Any, ...], **kwargs: Any
    ) -> None:
        super().__init__(target=target, args=args, kwargs=kwargs, name=f"Process-{uuid4().hex}")
        self.role = role
        self.replace_at: float | None = None
        self._maker = os.getpid()

    def start(self) -> None:
        """Starts it, and remembers when."""
        self.started_at = time.monotonic()
        super().start()

    def run(self) -> None:
        """Runs the role in the new process."""
        end_with_parent(self._maker)
        leave_signals_to_parent()
        super().run()

    def terminate(self) -> None:
        """Ends it now."""
        self.kill()
        self.join(LOOK_FOR_PARENT)

    def cut_short(self) -> None:
        """Has what it works on handed back, and ends it."""
        if self.pid is not None and self.is_alive():
            os.kill(self.pid, CUT_SHORT)
            self.join(HAND_BACK)
        self.terminate()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started_at


def await_any(awaited: Iterable[Flag | Child], seconds: float | None = None) -> None:
    """Waits until a flag is set or a child has ended, at most so many seconds."""
    wait([one.sentinel if isinstance(one, Child) else one.fileno() for one in awaited], seconds)


def leave_signals_to_parent() -> None:
    """A supervisor's SIGTERM reaches every process of its group: what is to end here, the parent decides.

    A handler, not SIG_IGN, as programs that a task starts would inherit that one.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(CUT_SHORT, _cut_short)


def _cut_short(_number: int, _frame: object) -> None:
    """Django-Q2's worker does not catch this, and a step that was at work hands its run back on the way out."""
    raise SystemExit(0)


def end_with_parent(parent: int) -> None:
    """Has this process killed when its parent, which had this id, is gone; at once where it is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_look_for, args=(parent,), daemon=True).start()
    _end_unless_child_of(parent)


def _look_for(parent: int) -> None:
    while True:
        time.sleep(LOOK_FOR_PARENT)
        _end_unless_child_of(parent)


def _end_unless_child_of(parent: int) -> None:
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
