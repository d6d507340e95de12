"""Take the jobs of earlier submissions from the attempts that submitted them.

A migration of its own, because PostgreSQL cannot index a table in the transaction that has filled it.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    alias = schema_editor.connection.alias
    step, job = (apps.get_model("report_orchestrator", name) for name in ("RunStep", "EarlierJob"))
    submitted = step.objects.using(alias).filter(step="external_job_submission", run__submission__gt=1)
    rows = submitted.order_by("pk").values_list("run", "run__fireant_job_id", "metadata").iterator(chunk_size=500)
    found: dict[tuple[int, int], str] = {}
    for run, present, metadata in rows:
        earlier = str(metadata.get("fireant_job_id") or "")
        submission = str(metadata.get("client_reference") or "").rpartition("-")[2]
        if earlier and earlier != present and submission.isdecimal():
            found[run, int(submission)] = earlier[:200]
    job.objects.using(alias).bulk_create(
        (job(run_id=run, submission=submission, fireant_job_id=name) for (run, submission), name in found.items()),
        batch_size=500,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('report_orchestrator', '0014_earlier_jobs'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
