"""What a step learned outlives a database that is away for seconds: a restart, a failover, a deadlock that it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections

from report_orchestrator.services.announce import database

T = TypeVar("T")

LONGEST = timedelta(seconds=30)
"""A restart of a database takes seconds. Longer than this, a worker does not wait for it."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between two tries


def patiently(write: Callable[[], T], *, lease: timedelta) -> T:
    """Calls `write`, which must be safe to repeat, until the database has taken it; on a new connection where the old is dead.

    Tries for as long as the caller's lease can last, as another worker has the run after that, and never beyond `LONGEST`.

    Raises:
        OperationalError, InterfaceError: the database was away for longer.
    """
    deadline = time.monotonic() + min(lease, LONGEST).total_seconds()
    pause = FIRST_PAUSE
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError):
            connection = connections[database()]
            if connection.in_atomic_block or time.monotonic() + pause > deadline:
                raise
            connection.close_if_unusable_or_obsolete()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
