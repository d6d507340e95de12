"""Convert instants to Django-Q's columns."""

from datetime import datetime

from django.conf import settings
from django.utils import timezone


def queue_time(instant: datetime | None) -> datetime | None:
    """Return an instant in the form of Django-Q's columns."""
    if instant is None or settings.USE_TZ:
        return instant
    return instant.astimezone(timezone.get_default_timezone()).replace(tzinfo=None, fold=0)
