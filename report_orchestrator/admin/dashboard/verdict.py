"""The dashboard's first line: inactive workers, lateness, failures, then today's runs and active workers."""

from django.utils.translation import gettext, ngettext

from report_orchestrator.admin.ui.outcomes import describe_outcomes
from report_orchestrator.admin.ui.phrases import away, capped, day_and_clock, number
from report_orchestrator.services.monitoring.dashboard import Dashboard


def verdict_text(dashboard: Dashboard) -> str:
    """Return the worst news first."""
    is_active = dashboard.snapshot.workers.is_active(dashboard.snapshot.now)
    sentences = (news_text(dashboard), _today(dashboard), _workers(dashboard) if is_active else "")
    return " ".join(sentence for sentence in sentences if sentence)


def news_text(dashboard: Dashboard) -> str:
    """Return the bad news alone, which screen readers announce when it changes."""
    is_active = dashboard.snapshot.workers.is_active(dashboard.snapshot.now)
    sentences = ("" if is_active else _workers(dashboard), _late(dashboard), _failed(dashboard))
    return " ".join(sentence for sentence in sentences if sentence)


def _failed(dashboard: Dashboard) -> str:
    failures = dashboard.failures
    if not failures.count:
        return ""
    text = ngettext(
        "{count} run failed in the last 24 hours.", "{count} runs failed in the last 24 hours.", failures.count
    )
    return text.format(count=capped(failures.count, is_capped=failures.is_capped))


def _late(dashboard: Dashboard) -> str:
    late = dashboard.forecast.late
    if not late:
        return ""
    if dashboard.snapshot.pause is not None:
        text = ngettext("{count} report is held back.", "{count} reports are held back.", late)
    else:
        text = ngettext("{count} report is late.", "{count} reports are late.", late)
    return text.format(count=number(late))


def _today(dashboard: Dashboard) -> str:
    today = dashboard.today
    if not today.expected:
        return gettext("No runs due today so far.")
    text = gettext("{succeeded} of {expected} runs due today succeeded.")
    others = describe_outcomes({"failed": today.failed, "skipped": today.skipped, "under_way": today.under_way})
    if others:
        text = gettext("{succeeded} of {expected} runs due today succeeded, {others}.")
    return text.format(succeeded=number(today.succeeded), expected=number(today.expected), others=others)


def _workers(dashboard: Dashboard) -> str:
    now, workers = dashboard.snapshot.now, dashboard.snapshot.workers
    if workers.last_seen_at is None:
        return gettext("No worker has ever been active: nothing runs.")
    if workers.is_active(now):
        return gettext("Workers active ({ago}).").format(ago=away(min(workers.last_seen_at, now), now))
    return gettext("No worker since {instant}: nothing runs.").format(instant=day_and_clock(workers.last_seen_at, now))
