"""Related rows are read from the primary database too. No statement changes the database."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('report_orchestrator', '0007_shadow'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='intervention',
            options={'base_manager_name': 'objects', 'ordering': ('-made_at', '-pk'), 'verbose_name': 'operator action', 'verbose_name_plural': 'operator actions'},
        ),
        migrations.AlterModelOptions(
            name='reportchange',
            options={'base_manager_name': 'objects', 'ordering': ('-noticed_at', '-pk'), 'verbose_name': 'change', 'verbose_name_plural': 'changes'},
        ),
        migrations.AlterModelOptions(
            name='reportrun',
            options={'base_manager_name': 'objects', 'ordering': ('-pk',), 'permissions': [('retry_runs', 'Can retry and release runs'), ('cancel_runs', 'Can cancel runs')], 'verbose_name': 'run', 'verbose_name_plural': 'runs'},
        ),
        migrations.AlterModelOptions(
            name='reportschedule',
            options={'base_manager_name': 'objects', 'ordering': ('pk',), 'permissions': [('run_reports', 'Can run reports by hand'), ('pause_reports', 'Can pause and resume reports'), ('backfill_reports', 'Can backfill reports'), ('accept_removals', 'Can accept held removals of reports')], 'verbose_name': 'report', 'verbose_name_plural': 'reports'},
        ),
        migrations.AlterModelOptions(
            name='runpayload',
            options={'base_manager_name': 'objects', 'verbose_name': 'payload', 'verbose_name_plural': 'payloads'},
        ),
        migrations.AlterModelOptions(
            name='runstep',
            options={'base_manager_name': 'objects', 'ordering': ('pk',), 'verbose_name': 'step', 'verbose_name_plural': 'steps'},
        ),
        migrations.AlterModelOptions(
            name='sharedstate',
            options={'base_manager_name': 'objects', 'verbose_name': 'shared state', 'verbose_name_plural': 'shared states'},
        ),
    ]
