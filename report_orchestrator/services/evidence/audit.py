"""Records the actions that people take on runs; the admin also writes Django's own log."""

from collections.abc import Iterable
from datetime import datetime

from report_orchestrator.models import Intervention, InterventionKind

BATCH = 500
ACTOR_LENGTH = 150
"""Characters that the record keeps of a name."""


def record_interventions(
    run_ids: Iterable[int], kind: InterventionKind, *, actor: str, reason: str, now: datetime
) -> None:
    """Record who did this to the runs, when and why. Call it in the transaction of the action."""
    Intervention.objects.bulk_create(
        (
            Intervention(run_id=run_id, kind=kind, actor=actor[:ACTOR_LENGTH], reason=reason, made_at=now)
            for run_id in run_ids
        ),
        batch_size=BATCH,
    )
