"""`manage.py orchestrator_status`: where everything stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from report_orchestrator.conf import Settings
from report_orchestrator.domain.runs import Status
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.models.runs import STATUS_LABELS
from report_orchestrator.ports import Ports
from report_orchestrator.services.approaches import in_force
from report_orchestrator.services.overview import Overview, overview


class Command(OrchestratorCommand):
    """A moment's picture of reports, runs and workers."""

    help = "Shows reports by state, runs by status, what is due next, how many workers are alive and what waits the longest."
    examples = """examples:
  manage.py orchestrator_status
  manage.py orchestrator_status --format json

exit status: 0 well, 1 it failed, 2 used wrongly"""

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Reads and tells."""
        picture = overview(ports=ports, settings=settings)
        if options["format"] == "json":
            self.answer({"approach": in_force(settings).scheduling_approach, **_as_dict(picture)})
        else:
            self._tell(picture, settings)
        return False

    def _tell(self, picture: Overview, settings: Settings) -> None:
        self.table(
            "",
            ("what", "how it stands"),
            [
                ("approach", in_force(settings).scheduling_approach),
                ("reports", _counted(picture.reports)),
                ("paused", "all of them" if picture.all_paused else picture.paused or "none"),
                ("runs under way", _counted(_in_words(picture.live_runs))),
                ("runs ended in 24 h", _counted(_in_words(picture.ended_last_day))),
                ("oldest run under way", picture.oldest_live_run),
                ("most overdue", picture.most_overdue and f"{picture.most_overdue.total_seconds():.0f} s"),
                ("workers alive", _workers(picture.workers_alive)),
                ("last tick", picture.last_tick or "never"),
                ("last discovery", picture.last_discovery or "never: run python manage.py discover_reports"),
            ],
        )
        self.table("", ("paused", "since", "by", "why"), _paused(picture))
        self.table("", ("due next", "at"), picture.next_due)


def _workers(alive: int | None) -> object:
    if alive is None:
        return "unknown: the broker or the cache does not answer"
    return alive or "none: start one with python manage.py qcluster"


def _paused(picture: Overview) -> Iterator[tuple[object, ...]]:
    for pause in picture.pauses:
        yield pause.report or "all reports", pause.since, pause.by, pause.reason
    named = sum(pause.report is not None for pause in picture.pauses)
    if picture.paused > named:
        yield f"and {picture.paused - named} more", None, None, None


def _in_words(counts: Mapping[str, int]) -> dict[str, int]:
    """Statuses as the admin calls them."""
    return {str(STATUS_LABELS[Status(status)]): count for status, count in counts.items()}


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _as_dict(picture: Overview) -> dict[str, object]:
    return {
        "reports": dict(picture.reports),
        "paused": picture.paused,
        "all_paused": picture.all_paused,
        "pauses": picture.pauses,
        "live_runs": dict(picture.live_runs),
        "ended_last_day": dict(picture.ended_last_day),
        "next_due": [{"report": report, "at": at} for report, at in picture.next_due],
        "oldest_live_run": picture.oldest_live_run,
        "most_overdue_seconds": picture.most_overdue,
        "workers_alive": picture.workers_alive,
        "last_tick": picture.last_tick,
        "last_discovery": picture.last_discovery,
    }
