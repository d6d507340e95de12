"""Our own row of what a person did to a run; the admin writes Django's beside it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from report_orchestrator.models import Intervention, InterventionKind

BATCH = 500


def record(run_ids: Iterable[int], kind: InterventionKind, *, actor: str, reason: str, now: datetime) -> None:
    """Writes who did it, when and why, in the caller's transaction."""
    Intervention.objects.bulk_create(
        (
            Intervention(run_id=run_id, kind=kind, actor=actor[:150], reason=reason, made_at=now)
            for run_id in run_ids
        ),
        batch_size=BATCH,
    )
