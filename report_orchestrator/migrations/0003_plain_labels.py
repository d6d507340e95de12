"""Plain labels, help texts and choices. No statement changes the database."""

import report_orchestrator.models.instants
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('report_orchestrator', '0002_shared_state'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='intervention',
            options={'ordering': ('-made_at', '-pk'), 'verbose_name': 'operator action', 'verbose_name_plural': 'operator actions'},
        ),
        migrations.AlterField(
            model_name='intervention',
            name='actor',
            field=models.CharField(max_length=150, verbose_name='actor'),
        ),
        migrations.AlterField(
            model_name='intervention',
            name='kind',
            field=models.CharField(choices=[('opened', 'created manually'), ('backfilled', 'created by a backfill'), ('retried', 'retried'), ('canceled', 'canceled')], max_length=16, verbose_name='action'),
        ),
        migrations.AlterField(
            model_name='intervention',
            name='made_at',
            field=report_orchestrator.models.instants.InstantField(verbose_name='time'),
        ),
        migrations.AlterField(
            model_name='intervention',
            name='reason',
            field=models.TextField(blank=True, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='reportchange',
            name='kind',
            field=models.CharField(choices=[('new', 'new'), ('removed', 'removed'), ('renamed', 'renamed'), ('retimed', 'rescheduled'), ('reprioritised', 'priority changed'), ('enabled', 'enabled'), ('disabled', 'disabled'), ('quarantined', 'quarantined'), ('repaired', 'repaired'), ('paused', 'paused'), ('resumed', 'resumed')], max_length=16, verbose_name='change'),
        ),
        migrations.AlterField(
            model_name='reportchange',
            name='noticed_at',
            field=report_orchestrator.models.instants.InstantField(verbose_name='detected'),
        ),
        migrations.AlterField(
            model_name='reportchange',
            name='source',
            field=models.CharField(choices=[('discovery', 'discovery'), ('signal', 'save in the project'), ('change_stamp', 'change stamp'), ('person', 'user')], max_length=16, verbose_name='source'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='attempt',
            field=models.PositiveSmallIntegerField(default=0, verbose_name='attempts at this step'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='created_at',
            field=report_orchestrator.models.instants.InstantField(verbose_name='created'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='error',
            field=models.TextField(blank=True, verbose_name='error'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='fireant_status',
            field=models.CharField(blank=True, max_length=100, verbose_name='last Fireant status'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='in_line',
            field=models.BooleanField(default=False, help_text="Starts only after the report's earlier runs have ended.", verbose_name='waits for earlier runs'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='job_kind',
            field=models.CharField(blank=True, max_length=8, verbose_name='job kind'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='payload_digest',
            field=models.CharField(blank=True, max_length=64, verbose_name='SHA-256 of the payload'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='reference',
            field=models.UUIDField(default=uuid.uuid4, editable=False, help_text='Identifies the result in the store and the job in Fireant.', unique=True, verbose_name='reference'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='report_key',
            field=models.CharField(max_length=200, verbose_name='report key'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='report_name',
            field=models.CharField(blank=True, max_length=500, verbose_name='report name'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='result_etag',
            field=models.CharField(blank=True, help_text='Lets a later attempt recognize an uploaded result without reading it.', max_length=100, verbose_name='ETag of the result'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='result_sha256',
            field=models.CharField(blank=True, max_length=64, verbose_name='SHA-256 of the result'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='result_size',
            field=models.BigIntegerField(blank=True, null=True, verbose_name='result size in bytes'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='results_path',
            field=models.CharField(blank=True, max_length=1000, verbose_name='result path'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='run_date',
            field=models.DateField(help_text="In the report's time zone.", verbose_name='run date'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='status',
            field=models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('deferred', 'waiting for Fireant'), ('up_for_retry', 'waiting for retry'), ('succeeded', 'succeeded'), ('failed', 'failed'), ('timed_out', 'timed out'), ('canceled', 'canceled'), ('skipped', 'skipped')], default='queued', max_length=16, verbose_name='status'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='submission',
            field=models.PositiveSmallIntegerField(default=1, help_text='Increases when a retry submits a new job.', verbose_name='submission'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='trigger',
            field=models.CharField(choices=[('scheduled', 'scheduled'), ('manual', 'manual'), ('backfill', 'backfill')], max_length=16, verbose_name='trigger'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='triggered_by',
            field=models.CharField(blank=True, max_length=150, verbose_name='requested by'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='wake_at',
            field=report_orchestrator.models.instants.InstantField(blank=True, null=True, verbose_name='next check'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='changed_at',
            field=report_orchestrator.models.instants.InstantField(verbose_name='last change'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='decided_until',
            field=report_orchestrator.models.instants.InstantField(help_text='All scheduled times up to this one have run or were skipped.', verbose_name='schedule processed until'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='host_updated_at',
            field=report_orchestrator.models.instants.InstantField(blank=True, null=True, verbose_name='updated in the project'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='overlap',
            field=models.CharField(blank=True, choices=[('skip', 'skip'), ('queue', 'queue'), ('allow', 'allow')], help_text='Applies at a scheduled time if the previous run has not ended. Empty: the setting OVERLAP.', max_length=8, verbose_name='overlap'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='pause_reason',
            field=models.TextField(blank=True, verbose_name='pause reason'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='priority',
            field=models.SmallIntegerField(default=0, help_text='Higher priorities start first.', verbose_name='priority'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='problem',
            field=models.TextField(blank=True, verbose_name='problem'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='problem_code',
            field=models.CharField(blank=True, max_length=40, verbose_name='problem code'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='state',
            field=models.CharField(choices=[('active', 'active'), ('unscheduled', 'no cron: manual runs only'), ('disabled', 'disabled in the project'), ('quarantined', 'quarantined: invalid definition'), ('removed', 'removed from the project')], max_length=16, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='reportschedule',
            name='timezone',
            field=models.CharField(blank=True, help_text="Empty: the project's TIME_ZONE.", max_length=64, verbose_name='time zone'),
        ),
        migrations.AlterField(
            model_name='runstep',
            name='metadata',
            field=models.JSONField(default=dict, verbose_name='details'),
        ),
        migrations.AlterField(
            model_name='runstep',
            name='result',
            field=models.CharField(choices=[('started', 'started'), ('completed', 'completed'), ('waiting', 'waiting'), ('retried', 'failed, retried'), ('failed', 'failed'), ('lost', 'worker lost'), ('canceled', 'canceled')], default='started', max_length=16, verbose_name='result'),
        ),
        migrations.AlterField(
            model_name='sharedstate',
            name='detail',
            field=models.JSONField(default=dict, verbose_name='details'),
        ),
        migrations.AlterField(
            model_name='sharedstate',
            name='marked_at',
            field=report_orchestrator.models.instants.InstantField(blank=True, null=True, verbose_name='last recorded'),
        ),
    ]
