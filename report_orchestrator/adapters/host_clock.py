"""Times in the host's own columns: aware ones where it uses time zones, and else wall times of its `TIME_ZONE`."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from report_orchestrator.domain.wall_clock import readings, start_of_repetition


def host_stamp(value: datetime | None) -> datetime | None:
    """A change stamp as aware UTC.

    A wall time that comes twice in autumn names two instants, and which of two edits came later cannot be told. All
    times of the repeated hour count as its beginning: none of these edits is then taken for older than another.
    """
    if value is None or timezone.is_aware(value):
        return value
    zone = timezone.get_default_timezone()
    return readings(start_of_repetition(value, zone) or value, zone)[0]


def certain_stamp(value: datetime) -> datetime | None:
    """A change stamp as aware UTC; None in an hour that comes twice, where two edits may have the same."""
    if timezone.is_naive(value) and start_of_repetition(value, timezone.get_default_timezone()) is not None:
        return None
    return host_stamp(value)


def later_than(instant: datetime) -> datetime:
    """What the host's column has to be greater than for stamps later than `instant`, in the form that the column takes.

    From within a repeated hour the whole of it is read again: the clock may have gone back since.
    """
    if settings.USE_TZ:
        return instant
    zone = timezone.get_default_timezone()
    wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)
    repeated_from = start_of_repetition(wall, zone)
    return wall if repeated_from is None else repeated_from - timedelta(microseconds=1)


def queue_time(instant: datetime | None) -> datetime | None:
    """An instant as Django-Q's columns take it."""
    if instant is None or settings.USE_TZ:
        return instant
    return instant.astimezone(timezone.get_default_timezone()).replace(tzinfo=None, fold=0)
