"""`manage.py sync_schedules`: make Django-Q's schedule table what the settings ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report_orchestrator.conf import Settings
from report_orchestrator.management.base import OrchestratorCommand
from report_orchestrator.ports import Ports, ScheduleSync
from report_orchestrator.services.reconciling import sync_schedules


class Command(OrchestratorCommand):
    """The reconciliation that a starting qcluster, every discovery and the tick do by themselves."""

    help = (
        "Leaves exactly the schedules of SCHEDULING_APPROACH in Django-Q's table and says what differed. Only this app's own "
        "lines are touched. A qcluster does the same when it starts. Clusters that are running follow within seconds, without "
        "a restart, until a qcluster is started with other settings."
    )
    examples = """examples:
  SCHEDULING_APPROACH=pipeline manage.py sync_schedules     one line for each report
  manage.py sync_schedules --format json

exit status: 0 well, 1 it failed, 2 used wrongly"""

    def run(self, ports: Ports, settings: Settings, options: Mapping[str, Any]) -> bool:
        """Reconciles and tells."""
        synced = sync_schedules(ports=ports, settings=settings)
        if options["format"] == "json":
            self.answer({"approach": settings.scheduling_approach, **_as_dict(synced)})
            return False
        self.table("", ("line", "what happened"), _rows(synced))
        changed = len(synced.created) + len(synced.updated) + len(synced.removed)
        said = f"{changed} lines changed" if changed else "Nothing changed"
        self.stdout.write(
            f"{said}, {synced.unchanged} as they were (approach: {settings.scheduling_approach})."
        )
        return False


def _as_dict(synced: ScheduleSync) -> dict[str, object]:
    return {
        "created": list(synced.created),
        "updated": dict(synced.updated),
        "removed": list(synced.removed),
        "unchanged": synced.unchanged,
    }


def _rows(synced: ScheduleSync) -> list[tuple[str, str]]:
    return [
        *((name, "created") for name in synced.created),
        *((name, f"updated: {said}") for name, said in synced.updated.items()),
        *((name, "removed") for name in synced.removed),
    ]
