"""A table of the jobs of earlier submissions. No other table changes."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('report_orchestrator', '0013_change_by_tick'),
    ]

    operations = [
        migrations.CreateModel(
            name='EarlierJob',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('submission', models.PositiveSmallIntegerField(verbose_name='submission')),
                ('fireant_job_id', models.CharField(max_length=200, verbose_name='Fireant job')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='earlier_jobs', to='report_orchestrator.reportrun', verbose_name='run')),
            ],
            options={
                'verbose_name': 'earlier Fireant job',
                'verbose_name_plural': 'earlier Fireant jobs',
                'base_manager_name': 'objects',
                'indexes': [models.Index(fields=['fireant_job_id'], name='ro_earlier_job_idx')],
            },
        ),
    ]
