"""Makes the database's clock run ahead in every process, so that hours of cron pass in seconds, and leaves the runs alone.

The processes' clocks are apart by as much as an answer of the database takes, times the speed: by seconds.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from django.apps import AppConfig


class RacingConfig(AppConfig):
    name = "tests.acceptance.racing"
    label = "racing"

    def ready(self) -> None:
        from report_orchestrator import tasks
        from report_orchestrator.adapters.database_clock import DatabaseClock

        began = datetime.fromtimestamp(float(os.environ["RACE_BEGAN"]), UTC)
        speed = float(os.environ["RACE_SPEED"])
        steady = DatabaseClock.__call__

        def ahead(clock: DatabaseClock) -> datetime:
            return began + (steady(clock) - began) * speed

        def leave_alone(run_id: int | None = None, kind: str = "") -> int:
            """Do nothing: the race is about opening runs, not about running them."""
            return 0

        DatabaseClock.__call__ = ahead  # type: ignore[method-assign, assignment]
        tasks.work = leave_alone
