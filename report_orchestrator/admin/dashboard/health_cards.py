"""The health of scheduler, workers, Fireant and the lake, each with a sign, a state and advice."""

from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext

from report_orchestrator.admin.dashboard.signs import BAD, GOOD, UNKNOWN, WARN
from report_orchestrator.admin.ui.format import Sign
from report_orchestrator.admin.ui.phrases import away, number
from report_orchestrator.domain.runs import Step
from report_orchestrator.services.monitoring.dashboard import Dashboard
from report_orchestrator.services.monitoring.overdue import Heartbeat


@dataclass(frozen=True, slots=True)
class HealthCard:
    """`advice` is empty if there is nothing to do."""

    name: str
    sign: Sign
    state: str
    detail: str
    advice: str = ""


def health_cards(dashboard: Dashboard) -> list[HealthCard]:
    return [_scheduler(dashboard), _workers(dashboard), _fireant(dashboard), _lake(dashboard)]


def _scheduler(dashboard: Dashboard) -> HealthCard:
    snapshot = dashboard.snapshot
    card = _heartbeat_card(
        gettext("Scheduler"),
        snapshot.scheduler,
        snapshot.now,
        gettext("Restart qcluster. Without a scheduler, no runs are created."),
    )
    # The scheduler ticks during a pause too, so an inactive one is reported even then.
    if snapshot.pause is None or card.sign is not GOOD:
        return card
    detail = gettext("all reports are paused; {heartbeat}").format(heartbeat=card.detail)
    return replace(card, sign=WARN, state=gettext("paused"), detail=detail)


def _workers(dashboard: Dashboard) -> HealthCard:
    snapshot = dashboard.snapshot
    return _heartbeat_card(
        gettext("Workers"), snapshot.workers, snapshot.now, gettext("Restart qcluster. No worker sends heartbeats.")
    )


def _heartbeat_card(name: str, heartbeat: Heartbeat, now: datetime, advice: str) -> HealthCard:
    start = gettext("Start it with: python manage.py qcluster")
    if heartbeat.last_seen_at is None:
        return HealthCard(name, BAD, gettext("never active"), gettext("no heartbeat yet"), start)
    if heartbeat.is_stopped:
        return HealthCard(name, BAD, gettext("stopped"), away(heartbeat.last_seen_at, now), start)
    detail = gettext("last heartbeat {ago}").format(ago=away(heartbeat.last_seen_at, now))
    if heartbeat.is_active(now):
        return HealthCard(name, GOOD, gettext("active"), detail)
    state = gettext("clock set back") if heartbeat.last_seen_at > now else gettext("inactive")
    return HealthCard(name, BAD, state, detail, advice)


def _fireant(dashboard: Dashboard) -> HealthCard:
    name, snapshot = gettext("Fireant"), dashboard.snapshot
    circuit, now = snapshot.circuit, snapshot.now
    if circuit.probe_at is not None:
        detail = gettext("{count} failures in a row; next attempt {when}").format(
            count=number(circuit.failures), when=away(max(circuit.probe_at, now), now)
        )
        advice = gettext("Runs wait until it recovers. Contact the team that operates Fireant.")
        return HealthCard(name, BAD, gettext("considered down"), detail, advice)
    if circuit.failures:
        detail = gettext("{count} failures in a row").format(count=number(circuit.failures))
        return HealthCard(name, WARN, gettext("unstable"), detail)
    if dashboard.latest_activity.last_success_at is None and not snapshot.unfinished_runs.jobs_in_fireant:
        return HealthCard(name, UNKNOWN, gettext("unknown"), gettext("no requests yet"))
    # Failures would be counted: the last poll, and the last download of a result, had an answer.
    known = [at for at in (snapshot.polled_at, dashboard.latest_activity.last_success_at) if at is not None]
    detail = gettext("answered {ago}").format(ago=away(min(max(known), now), now)) if known else gettext("no failures")
    return HealthCard(name, GOOD, gettext("available"), detail)


def _lake(dashboard: Dashboard) -> HealthCard:
    name, now = gettext("Lake"), dashboard.snapshot.now
    stored_at = dashboard.latest_activity.last_success_at
    retried = dashboard.snapshot.unfinished_runs.storage_retries
    failed = sum(
        group.count
        for group in dashboard.failures.groups
        if group.step is Step.RESULTS_STORAGE and (stored_at is None or group.last_at > stored_at)
    )
    last = gettext("no result stored yet")
    if stored_at is not None:
        last = gettext("last result stored {ago}").format(ago=away(min(stored_at, now), now))
    if retried or failed:
        detail = gettext("{count} not stored; {last}").format(count=number(retried + failed), last=last)
        advice = gettext("Open one of these runs: its error names the missing setting or permission.")
        return HealthCard(name, BAD if failed else WARN, gettext("rejecting results"), detail, advice)
    if stored_at is None:
        return HealthCard(name, UNKNOWN, gettext("unknown"), last)
    return HealthCard(name, GOOD, gettext("available"), last)
