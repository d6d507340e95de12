"""Find the rows of Django-Q's schedule table at which its scheduler fails. One such row may stop all others."""

import ast

from django.db import router
from django_q.models import Schedule

from report_orchestrator.domain.printable import printable
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.ports import ProbeResult

ROWS_SHOWN = 5
OTHER_COLUMNS = ("name", "schedule_type", "minutes", "cron", "next_run")


def probe_schedules() -> ProbeResult:
    """Read all rows that may fire, as Django-Q's scheduler does.

    Raises:
        ConfigurationError: a row cannot be read. Names the row and the column, not the value, which may be a secret.
    """
    may_fire = Schedule.objects.using(router.db_for_write(Schedule)).exclude(repeats=0).filter(next_run__isnull=False)
    rows = list(may_fire.order_by("pk").only("args", "kwargs", *OTHER_COLUMNS))
    readable: set[object] = set()
    problems = [
        f"'{printable(row.name or f'id {row.pk}')}' ({column})"
        for row in rows
        if (column := _unreadable_column(row, readable))
    ]
    if not problems:
        return ProbeResult(detail=f"readable rows in Django-Q's table: {len(rows)}")
    shown = ", ".join(problems[:ROWS_SHOWN])
    others = f" and {len(problems) - ROWS_SHOWN} more" if len(problems) > ROWS_SHOWN else ""
    raise ConfigurationError(
        f"Django-Q cannot read these rows of its schedule table: {shown}{others}. Until they are corrected or deleted, its "
        "scheduler may start no schedule at all."
    )


def _unreadable_column(row: Schedule, readable: set[object]) -> str:
    """Return the column at which the scheduler fails, or "". `readable` holds the times that were found to be readable."""
    try:
        ast.literal_eval(row.args or "()")
    except Exception:  # noqa: BLE001 - any error stops the scheduler
        return "args"
    if not _are_keywords(row.kwargs):
        return "kwargs"
    timing = (row.schedule_type, row.minutes, row.cron)
    if row.schedule_type != Schedule.ONCE and timing not in readable:
        try:
            row.calculate_next_run(row.next_run)
        except Exception:  # noqa: BLE001 - any error stops the scheduler
            return "cron" if row.schedule_type == Schedule.CRON else "schedule_type"
        readable.add(timing)
    return ""


def _are_keywords(text: str | None) -> bool:
    try:
        keywords = ast.literal_eval(text or "{}")
    except (SyntaxError, ValueError):
        return True  # such as `a=1`; Django-Q ignores the parts that it cannot read
    except Exception:  # noqa: BLE001 - any other error stops the scheduler
        return False
    return isinstance(keywords, dict) and isinstance(keywords.get("q_options", {}), dict)
