"""Retries a write that failed because of a restart or failover of the database, a deadlock, or a long lock wait."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.db import Error, connections

from report_orchestrator.models.connections import close_connections
from report_orchestrator.models.database_errors import is_conflict, is_read_only, is_transient

T = TypeVar("T")

LONGEST = timedelta(seconds=30)
"""A worker waits no longer than this; a database restarts within seconds."""
LONGEST_CONFLICT = timedelta(seconds=5)
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between two attempts


def with_conflict_retry(write: Callable[[], T]) -> T:
    """Call `write`, which must be idempotent, again where the database ended its transaction in favour of another.

    For ticks: whatever else is wrong can wait for the next one.

    Raises:
        django.db.Error: another error, or conflicts for longer than `LONGEST_CONFLICT`.
    """
    return with_db_retry(write, lease=LONGEST_CONFLICT, is_temporary=is_conflict)


def with_db_retry(
    write: Callable[[], T], *, lease: timedelta = LONGEST, is_temporary: Callable[[BaseException], bool] = is_transient
) -> T:
    """Call `write`, which must be idempotent, until the database accepts it.

    Opens a new connection if the old one is dead or its server has become read-only. Gives up after `LONGEST`, or earlier
    when the caller's lease may have ended, because another worker may have the run by then.

    Raises:
        django.db.Error: the database was unavailable for longer, or rejected the write.
    """
    deadline = time.monotonic() + min(lease, LONGEST).total_seconds()
    pause = FIRST_PAUSE
    while True:
        try:
            return write()
        except Error as error:
            if not is_temporary(error) or _in_transaction() or time.monotonic() + pause > deadline:
                raise
            _replace_connections(error)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _in_transaction() -> bool:
    return any(connection.in_atomic_block for connection in connections.all(initialized_only=True))


def _replace_connections(error: Error) -> None:
    if is_read_only(error):
        close_connections()
        return
    for connection in connections.all(initialized_only=True):  # the host's tables may be in another database
        connection.close_if_unusable_or_obsolete()
