"""The wait before a retry."""

from datetime import timedelta

LONGEST_BACKOFF = timedelta(hours=1)
LONGEST_HONOURED_RETRY_AFTER = timedelta(hours=6)
"""A service that asks for more than this is retried sooner: it may have recovered long before."""


def backoff(failures: int, *, base: timedelta, retry_after: timedelta | None = None, jitter: float = 0.5) -> timedelta:
    """Return the wait before the next attempt.

    `failures` counts the failed attempts so far, from 1. The wait doubles with each, up to `LONGEST_BACKOFF`; `jitter` in
    [0, 1) spreads it over the upper half, so that runs which failed together are not retried together. It is at least the
    `retry_after` of the service, up to `LONGEST_HONOURED_RETRY_AFTER`.
    """
    doubled: timedelta = min(base * 2.0 ** min(max(failures, 1) - 1, 20), LONGEST_BACKOFF)
    spread = doubled * (0.5 + jitter / 2)
    if retry_after is None:
        return spread
    return max(spread, min(retry_after, LONGEST_HONOURED_RETRY_AFTER))
