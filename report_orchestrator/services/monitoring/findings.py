"""Health findings: workers and scheduler sent a heartbeat lately, and no run, lease or report is overdue."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from report_orchestrator.models.shared_state import CLOCK_SLACK
from report_orchestrator.runtime import Runtime
from report_orchestrator.services.fireant.circuit_breaker import Circuit
from report_orchestrator.services.monitoring.overdue import OVERDUE_AFTER, Heartbeat, decision_due_at
from report_orchestrator.services.monitoring.snapshot import Snapshot, read_snapshot
from report_orchestrator.services.scheduling.clock_leaps import UNVERIFIED_FOR, ClockHistory

NOTABLE_FOR = timedelta(days=7)
"""How long a leap of the clock that was undone is mentioned."""

LIVENESS = frozenset({"worker", "scheduler", "runs", "leases"})

NO_CLUSTER = "No qcluster is running: start manage.py qcluster."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one health check. `hint` is the action to take; a check that is well may have one too."""

    name: str
    well: bool
    detail: str
    hint: str = ""


def check_liveness(*, runtime: Runtime) -> list[Finding]:
    """Return the findings that a restart of the cluster would mend."""
    return [finding for finding in check_health(runtime=runtime) if finding.name in LIVENESS]


def check_health(*, runtime: Runtime) -> list[Finding]:
    """Read a snapshot and return its findings; the product is healthy if all are well."""
    snapshot = read_snapshot(runtime.clock(), runtime.configured, report_model=runtime.reports.label)
    now, leases = snapshot.now, snapshot.unfinished_runs.earliest_lease_end
    findings = [worker_finding(snapshot)]
    if snapshot.has_own_scheduler:
        hint = "Restart qcluster. Its scheduler runs no ticks."
        findings.append(_heartbeat("scheduler", snapshot.scheduler, now, hint))
    hint = "Runs are ready but no worker is picking them up. Check qcluster's log, or start more workers."
    late_runs = _overdue("runs", snapshot.startable_since, now, OVERDUE_AFTER, hint)
    findings.append(_unless_stalled(late_runs, snapshot.overdue_since is not None))
    hint = "Workers were lost and their runs were not taken over. Restart qcluster."
    findings.append(_unless_stalled(_overdue("leases", leases, now, OVERDUE_AFTER, hint), not snapshot.runs_advance))
    return [*findings, _schedules(snapshot), _upkeep(snapshot), _fireant(snapshot.circuit, now)]


def worker_finding(snapshot: Snapshot) -> Finding:
    hint = "Restart qcluster. Its workers send no heartbeat."
    return _heartbeat("worker", snapshot.workers, snapshot.now, hint)


def _heartbeat(name: str, heartbeat: Heartbeat, now: datetime, hint: str) -> Finding:
    if heartbeat.last_seen_at is None:
        return Finding(name=name, well=False, detail="no heartbeat yet", hint="Start qcluster.")
    age = now - heartbeat.last_seen_at
    if heartbeat.is_stopped:
        return Finding(name=name, well=False, detail=f"stopped {age.total_seconds():.0f} s ago", hint=NO_CLUSTER)
    active = heartbeat.is_active(now)
    suffix = " ahead of the clock, which was set back" if age < -CLOCK_SLACK else " ago"
    return Finding(
        name=name,
        well=active,
        detail=f"last heartbeat {abs(age.total_seconds()):.0f} s{suffix}",
        hint="" if active else hint,
    )


def _schedules(snapshot: Snapshot) -> Finding:
    if snapshot.pause is not None:
        finding = Finding(name="schedules", well=True, detail="all reports are paused")
    else:
        hint = "Due reports get no runs. Run sync_schedules, then check qcluster's log."
        settings, due_at = snapshot.settings, snapshot.first_due_at
        since = due_at and decision_due_at(due_at, settings, snapshot.switch)
        allowed = OVERDUE_AFTER
        if settings.scheduling_approach != "schedule":
            allowed += settings.cron_sensor_interval
        finding = _overdue("schedules", since, snapshot.now, allowed, hint)
        finding = _unless_stalled(finding, not snapshot.due_times_advance)
    return finding if snapshot.clock is None else _with_clock(finding, snapshot.clock, snapshot)


def _with_clock(finding: Finding, clock: ClockHistory, snapshot: Snapshot) -> Finding:
    """Add to a finding that the clock leapt or was set back, now or within `NOTABLE_FOR`."""
    now, set_back = snapshot.now, clock.set_back_by(snapshot.now)
    if set_back and clock.leap_around(now):
        detail = f"the clock leapt to {_instant(clock.seen_at)} and came back"
        hint = "The next tick corrects the reports' times. If this stays, check qcluster's log."
        return replace(finding, well=False, detail=detail, hint=hint)
    if set_back and snapshot.waits_for_clock:
        seconds = timedelta(seconds=round(set_back.total_seconds()))
        detail = f"the clock was set back by {seconds}: reports wait until {_instant(clock.seen_at)}"
        hint = "If the clock is right now, run 'sync_schedules --from-now'. Otherwise correct it."
        well = finding.well and set_back <= UNVERIFIED_FOR
        return replace(finding, well=well, detail=f"{detail} ({snapshot.waits_for_clock})", hint=hint)
    if clock.correction is not None and now - clock.correction.at < NOTABLE_FOR:
        leap, reports = clock.correction.leap, clock.correction.reports
        detail = (
            f"{finding.detail}; the clock leapt from {_instant(leap.start)} to {_instant(leap.end)} and came back at "
            f"{_instant(clock.correction.at)}: reports corrected: {reports}"
        )
        hint = finding.hint or "Check why the database's clock leapt, and the runs of that time."
        return replace(finding, detail=detail, hint=hint)
    if gap := clock.unverified_leap(now):
        detail = (
            f"{finding.detail}; no tick from {_instant(gap.start)} to {_instant(gap.end)}: nothing old is deleted "
            f"until {_instant(gap.end + UNVERIFIED_FOR)}"
        )
        return replace(finding, detail=detail, hint=finding.hint or "If there was no outage, correct the clock.")
    return finding


def _instant(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _overdue(name: str, since: datetime | None, now: datetime, allowed: timedelta, hint: str) -> Finding:
    age = timedelta(0) if since is None else max(now - since, timedelta(0))
    well = age <= allowed
    detail = f"the oldest is {age.total_seconds():.0f} s late" if age else "nothing overdue"
    return Finding(name=name, well=well, detail=detail, hint="" if well else hint)


def _unless_stalled(finding: Finding, is_stalled: bool) -> Finding:
    """Let a finding be well while others of its kind go on: a restart would only delay them."""
    if finding.well or is_stalled:
        return finding
    return replace(finding, well=True, hint="Work goes on. If it stays late, start more workers.")


def _upkeep(snapshot: Snapshot) -> Finding:
    """Report failed tasks. A single failure is still well, as the task is retried soon. Names no report and no address."""
    failed = snapshot.failed_upkeep
    if not failed:
        return Finding(name="upkeep", well=True, detail="no failures")
    details = [
        f"{row.task}: {row.failures} {'failure' if row.failures == 1 else 'failures'} since {_instant(row.since)} ({row.cause})"
        for row in failed
    ]
    hint = "It is retried automatically. The dashboard and qcluster's log show the error."
    return Finding(name="upkeep", well=all(row.failures == 1 for row in failed), detail="; ".join(details), hint=hint)


def _fireant(circuit: Circuit, now: datetime) -> Finding:
    """Report an open circuit, which is always well: a restart would not help."""
    detail = f"{circuit.failures} failures in a row" if circuit.failures else "no failures"
    if circuit.probe_at is not None:
        wait = (circuit.probe_at - now).total_seconds()
        when = f"in {wait:.0f} s" if wait > 0 else "with the next run that needs it"
        detail = f"considered down after {circuit.failures} failures; next probe {when}"
    return Finding(name="fireant", well=True, detail=detail)
