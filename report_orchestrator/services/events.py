"""Emits the signals of services: after the commit, with plain values."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from django.db import router, transaction
from django.db.models import Model
from django.dispatch import Signal

from report_orchestrator import signals
from report_orchestrator.models import ReportRun, ReportSchedule


def database_alias() -> str:
    return router.db_for_write(ReportRun)


def emit_run_event(event: str, run: ReportRun, **fields: object) -> None:
    """Send an event about a run once the surrounding transaction has committed."""
    about = {"run_id": run.pk, "report": run.report, "step": run.step}
    _emit(signals.run_event, ReportRun, event, about | fields)


def emit_schedule_event(event: str, **fields: object) -> None:
    """Send an event about reports or upkeep once the surrounding transaction has committed."""
    _emit(signals.schedule_event, ReportSchedule, event, fields)


def emit_message_event(event: str, *, run_id: int) -> None:
    """Send an event about a queue message now. The run that it names may not exist."""
    signals.message_event.send_robust(sender=ReportRun, event=event, fields={"run_id": run_id})


def _emit(signal: Signal, sender: type[Model], event: str, fields: Mapping[str, object]) -> None:
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}
    send = partial(signal.send_robust, sender=sender, event=event, fields=plain)
    transaction.on_commit(send, using=database_alias())
