"""The answer to "is all well?", in English for commands and logs: a verdict, and each problem with the command that mends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from report_orchestrator.domain.error_codes import Trait, traits_of
from report_orchestrator.services.monitoring.dashboard import Dashboard
from report_orchestrator.services.monitoring.failure_groups import FailureGroup

GROUPS_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusProblem:
    """A problem, and the command or the advice that mends it."""

    problem: str
    remedy: str


def verdict_of(dashboard: Dashboard) -> str:
    """Return one line, the worst first."""
    problems = [_workers(dashboard), _pause(dashboard), _late(dashboard), _failed(dashboard), _others(dashboard)]
    worst = [sentence for sentence in problems if sentence]
    return " ".join([*(worst or ["All is well."]), _today(dashboard)])


def problems_of(dashboard: Dashboard) -> list[StatusProblem]:
    """Return the problems, most urgent first."""
    pairs = (*_stopped(dashboard), *_late_reports(dashboard), *_failures(dashboard), *_definitions(dashboard))
    return [StatusProblem(problem=problem, remedy=remedy) for problem, remedy in pairs]


def _workers(dashboard: Dashboard) -> str:
    workers, now = dashboard.snapshot.workers, dashboard.snapshot.now
    if workers.last_seen_at is None:
        return "No worker was ever active: nothing runs."
    return "" if workers.is_active(now) else f"No worker since {_clock(workers.last_seen_at, now)}: nothing runs."


def _pause(dashboard: Dashboard) -> str:
    pause = dashboard.snapshot.pause
    return f"All reports are paused by {pause.by or 'someone'}." if pause else ""


def _late(dashboard: Dashboard) -> str:
    late = dashboard.forecast.late
    if not late:
        return ""
    is_paused = dashboard.snapshot.pause is not None
    return f"{_count(late, 'report')} {_are(late)} {'held back by the pause' if is_paused else 'late'}."


def _failed(dashboard: Dashboard) -> str:
    failures = dashboard.failures
    more = "+" if failures.is_capped else ""
    return f"{_count(failures.count, 'run', more)} failed in the last 24 hours." if failures.count else ""


def _others(dashboard: Dashboard) -> str:
    """Return the number of problems without a sentence of their own."""
    others = len(list(_definitions(dashboard)))
    return f"{_count(others, 'other problem')}." if others else ""


def _today(dashboard: Dashboard) -> str:
    today = dashboard.today
    if not today.expected:
        return "No runs were due today so far."
    return f"{today.succeeded:,} of {_count(today.expected, 'run')} due today succeeded."


def _stopped(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    """Yield one problem for one cause: without workers nothing else has to be said of runs that wait."""
    snapshot = dashboard.snapshot
    if missing := _workers(dashboard):
        yield missing.removesuffix("."), "start manage.py qcluster"
    elif snapshot.lease_expired_since is not None:
        since = _clock(snapshot.lease_expired_since, snapshot.now)
        yield f"Leases expired since {since}, and no worker takes over the runs", "restart qcluster"
    elif snapshot.overdue_since is not None:
        since = _clock(snapshot.overdue_since, snapshot.now)
        yield (
            f"Runs are ready since {since}, and no worker takes them",
            "read qcluster's log, or start another qcluster",
        )


def _late_reports(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    late, since, now = dashboard.forecast.late, dashboard.forecast.late_since, dashboard.snapshot.now
    if dashboard.snapshot.pause is not None:
        yield _pause(dashboard).removesuffix("."), "resume_reports --all --reason TEXT"
    elif late and since and not _workers(dashboard):
        text = f"{_count(late, 'report')} {_are(late)} late, the first since {_clock(since, now)}"
        yield text, "sync_schedules, then read qcluster's log"


def _failures(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    failures = dashboard.failures
    for group in failures.groups[:GROUPS_SHOWN]:
        more = "+" if failures.is_capped else ""
        yield f"{_count(group.count, 'run', more)} failed at {group.step}: {_cause(group.code)}", _remedy(group)
    others = sum(group.count for group in failures.groups[GROUPS_SHOWN:])
    if others:
        yield f"{_count(others, 'run')} failed for other reasons", "see the admin"


def _remedy(group: FailureGroup) -> str:
    retry = f"retry_run --cause {group.code} --reason TEXT"
    traits = traits_of(group.code)
    if Trait.NEEDS_NEW_RUN in traits:
        return "run_report ID: no retry helps"
    return f"correct it in the project, then {retry}" if Trait.REPORT_AT_FAULT in traits else retry


def _definitions(dashboard: Dashboard) -> Iterator[tuple[str, str]]:
    snapshot = dashboard.snapshot
    if held := snapshot.held_removals:
        yield f"{_count(held, 'report')} {_are(held)} missing from the project", "discover_reports shows what to do"
    failed = {group.code for group in dashboard.failures.groups}  # these are named by their runs
    for row in snapshot.quarantined:
        if row.problem in failed:
            continue
        text = f"{_count(row.count, 'report')} cannot run as defined: {_cause(row.problem)}"
        yield text, "discover_reports names them; correct them in the project"
    for failure in snapshot.failed_upkeep:
        yield f"{failure.task} failed {_count(failure.failures, 'time')} in a row", "orchestrator_health says why"


def _cause(code: str) -> str:
    return code.replace("_", " ")


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _count(count: int, noun: str, more: str = "") -> str:
    return f"{count:,}{more} {noun}{'' if count == 1 else 's'}"


def _clock(instant: datetime, now: datetime) -> str:
    """Return the time in the project's zone, with its date if that is not today."""
    zone = timezone.get_default_timezone()
    local = instant.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == now.astimezone(zone).date() else f"{local:%Y-%m-%d %H:%M}"
