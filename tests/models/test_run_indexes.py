"""Frequent queries read the small indexes of live runs, however many have ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection

from report_orchestrator.domain.runs import Status
from report_orchestrator.models import ReportRun
from report_orchestrator.models.runs import RunQuerySet

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="others choose by how many rows there are")
@pytest.mark.parametrize(
    ("runs", "index"),
    [
        (lambda: ReportRun.objects.unfinished().filter(schedule=1), "ro_run_live_idx"),
        (lambda: ReportRun.objects.claimable(NOW), "ro_run_live_idx"),
        (lambda: ReportRun.objects.filter(status=Status.QUEUED).out_of_line(), "ro_run_live_idx"),
        (lambda: ReportRun.objects.pollable(NOW), "ro_run_wake_idx"),
    ],
)
def test_unfinished_runs_are_found_by_their_own_indexes(runs: Callable[[], RunQuerySet], index: str) -> None:
    assert index in runs().explain()
