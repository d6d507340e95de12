"""How services say what happened: after the commit, and in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from django.db import router, transaction

from report_orchestrator import signals
from report_orchestrator.models import ReportRun, ReportSchedule


def database() -> str:
    """The alias that holds our tables."""
    return router.db_for_write(ReportRun)


def run_event(event: str, run: ReportRun, **fields: object) -> None:
    """Announces something about a run, once the surrounding transaction has committed."""
    told = {"run_id": run.pk, "report": run.report, "step": run.step, **_plain(fields)}
    transaction.on_commit(
        partial(signals.run_event.send_robust, sender=ReportRun, event=event, fields=told), using=database()
    )


def message_event(event: str, *, run_id: int) -> None:
    """Announces something about a message of the queue; the run that it names need not be there."""
    signals.message_event.send_robust(sender=ReportRun, event=event, fields={"run_id": run_id})


def _plain(fields: Mapping[str, object]) -> dict[str, object]:
    """Instants as text: a listener gets plain values only."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()
    }


def schedule_event(event: str, **fields: object) -> None:
    """Announces something about the reports, once the surrounding transaction has committed."""
    transaction.on_commit(
        partial(
            signals.schedule_event.send_robust, sender=ReportSchedule, event=event, fields=_plain(fields)
        ),
        using=database(),
    )
