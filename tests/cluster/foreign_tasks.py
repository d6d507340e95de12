"""Tasks of a host's own, in front of the app's: slow ones, and ones that write to the output in all ways."""

from __future__ import annotations

import logging
import sys
import time
import traceback
import warnings
from pathlib import Path

from django.db import transaction
from django_q.tasks import async_task

from report_orchestrator.models import ReportRun


def write_much() -> None:
    """Writes by `print`, to both streams, by a warning, by a logger of its own, and a traceback."""
    print("printed by a task")  # noqa: T201
    sys.stderr.write("written by a task\n")
    warnings.warn("warned by a task", RuntimeWarning, stacklevel=1)
    logging.getLogger("theirs").warning("logged by a task")
    try:
        raise ValueError("caught by a task")
    except ValueError:
        traceback.print_exc()


def fail() -> None:
    raise ValueError("failed in a task")


def wait_for(path: str) -> None:
    """Is busy until the file is there, but for no longer than a few seconds."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline and not Path(path).exists():
        time.sleep(0.05)


def fill_queue(path: str) -> None:
    """Queues an hour of work."""
    with transaction.atomic():
        async_task(write_much)
        async_task(fail, q_options={"ack_failure": True})
        for _ in range(3000):
            async_task(wait_for, path)


def statuses() -> list[str]:
    return list(ReportRun.objects.order_by("pk").values_list("status", flat=True))
