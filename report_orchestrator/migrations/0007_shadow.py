"""The switch from another system: two columns of reports, and choices, for which no statement changes the database."""

import report_orchestrator.models.instants
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('report_orchestrator', '0006_catch_up'),
    ]

    operations = [
        migrations.AddField(
            model_name='reportschedule',
            name='live_from',
            field=report_orchestrator.models.instants.InstantField(blank=True, help_text='Scheduled times up to this one belong to another system.', null=True, verbose_name='live from'),
        ),
        migrations.AddField(
            model_name='reportschedule',
            name='live_until',
            field=report_orchestrator.models.instants.InstantField(blank=True, help_text='Scheduled times after this one belong to another system.', null=True, verbose_name='live until'),
        ),
        migrations.AlterField(
            model_name='reportchange',
            name='kind',
            field=models.CharField(choices=[('new', 'new'), ('removed', 'removed'), ('renamed', 'renamed'), ('retimed', 'rescheduled'), ('reprioritised', 'priority changed'), ('enabled', 'enabled'), ('disabled', 'disabled'), ('quarantined', 'quarantined'), ('repaired', 'repaired'), ('paused', 'paused'), ('resumed', 'resumed'), ('switched', 'switched')], max_length=16, verbose_name='change'),
        ),
        migrations.AlterField(
            model_name='reportrun',
            name='trigger',
            field=models.CharField(choices=[('scheduled', 'scheduled'), ('manual', 'manual'), ('backfill', 'backfill'), ('shadow', 'shadow')], max_length=16, verbose_name='trigger'),
        ),
    ]
