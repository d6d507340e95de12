"""Parse dates and waits in HTTP headers."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


def retry_after(header: str | None, *, now: datetime | None = None) -> timedelta | None:
    """Return the wait of a `Retry-After` header in either form (RFC 9110, 10.2.3); None if it cannot be read."""
    if not header:
        return None
    seconds = header.strip()
    if seconds.isascii() and seconds.isdigit():
        return timedelta(seconds=int(seconds[:8]) if len(seconds) > 8 else int(seconds))
    until = instant_in(header)
    return None if until is None else max(until - (now or datetime.now(UTC)), timedelta(0))


def instant_in(header: str) -> datetime | None:
    """Return the instant of a header such as `Date`, aware UTC; None if it cannot be read."""
    try:
        instant = parsedate_to_datetime(header)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        return None
