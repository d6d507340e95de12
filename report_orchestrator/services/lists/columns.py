"""The columns of lists as files: their names, which never change, and the values of a row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from django.db.models import Model

from report_orchestrator.domain.error_codes import advice_of, title_of
from report_orchestrator.models import ReportChange, ReportRun, ReportSchedule

Texts: TypeAlias = Callable[[str], tuple[str, str]]
"""Return title and advice of an error code, in one language; empty texts without a code."""
Value: TypeAlias = Callable[[Any, Texts], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns of one model's list. `shown` are those of a command's table for people."""

    model: type[Model]
    columns: Mapping[str, Value]
    shown: Sequence[str]

    def values(self, row: Model, texts: Texts, names: Sequence[str] = ()) -> list[object]:
        """Return the values of a row, of all columns or of these."""
        return [self.columns[name](row, texts) for name in names or self.columns]


def error_texts(translate: Callable[[str], str] = str) -> Texts:
    """Return the function for title and advice of an error code, each translated once."""

    @cache
    def texts(code: str) -> tuple[str, str]:
        title, advice = (title_of(code), advice_of(code)) if code else ("", "")
        return title and translate(title), advice and translate(advice)

    return texts


def _field(name: str) -> Value:
    return lambda row, _texts: getattr(row, name)


def _fields(*names: str) -> dict[str, Value]:
    return {name: _field(name) for name in names}


def _cause(row: Any, texts: Texts) -> str:
    return texts(row.error_code)[0]


def _advice(row: Any, texts: Texts) -> str:
    """Return the advice for an error that ended the run: before its end there is nothing to do."""
    return texts(row.error_code)[1] if row.has_ended else ""


RUNS = Table(
    model=ReportRun,
    columns={
        "run_id": _field("pk"),
        "report_key": _field("report_key"),
        "report": _field("report_name"),
        **_fields("scheduled_for", "run_date", "trigger", "triggered_by", "status", "step"),
        **_fields("created_at", "started_at", "ended_at"),
        "duration_s": _field("seconds"),
        "error_code": _field("error_code"),
        "cause": _cause,
        "advice": _advice,
        **_fields("error", "fireant_job_id", "reference", "submission"),
        **_fields("results_path", "result_size", "result_sha256"),
    },
    shown=("run_id", "status", "report_key", "report", "scheduled_for", "duration_s", "cause"),
)
REPORTS = Table(
    model=ReportSchedule,
    columns={
        "report_key": _field("report_key"),
        "report": _field("name"),
        **_fields("state", "cron", "timezone", "priority", "next_run_at"),
        "error_code": _field("problem_code"),
        "cause": lambda row, texts: texts(row.problem_code)[0],
        "advice": lambda row, texts: texts(row.problem_code)[1],
        "error": _field("problem"),
        **_fields("paused_at", "paused_by", "pause_reason", "live_from", "live_until", "discovered_at", "changed_at"),
    },
    shown=("report_key", "report", "state", "cron", "next_run_at", "paused_by", "cause"),
)
CHANGES = Table(
    model=ReportChange,
    columns={
        "noticed_at": _field("noticed_at"),
        "report_key": lambda row, _texts: "" if row.schedule is None else row.schedule.report_key,
        "report": lambda row, _texts: "" if row.schedule is None else row.schedule.name,
        **_fields("kind", "before", "after"),
        "actor": _field("person"),
        "source": _field("source"),
    },
    shown=("noticed_at", "report_key", "report", "kind", "before", "after", "actor"),
)
