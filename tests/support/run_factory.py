"""The type of the fixture `new_run`."""

from __future__ import annotations

from collections.abc import Callable

from report_orchestrator.models import ReportRun

NewRun = Callable[[], ReportRun]
