"""Messages in the table of the ORM broker."""

from __future__ import annotations

from django_q.models import OrmQ


def messages() -> list[tuple[str, tuple[object, ...]]]:
    """The function and the arguments of each message in the ORM broker's table, oldest first."""
    tasks = [message.task for message in OrmQ.objects.order_by("pk")]
    return [(task["func"], task["args"]) for task in tasks]
