"""Changes of the approach are recorded. No statement changes the database."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('report_orchestrator', '0008_read_where_written'),
    ]

    operations = [
        migrations.AlterField(
            model_name='reportchange',
            name='kind',
            field=models.CharField(choices=[('new', 'new'), ('removed', 'removed'), ('renamed', 'renamed'), ('retimed', 'rescheduled'), ('reprioritised', 'priority changed'), ('enabled', 'enabled'), ('disabled', 'disabled'), ('quarantined', 'quarantined'), ('repaired', 'repaired'), ('paused', 'paused'), ('resumed', 'resumed'), ('switched', 'switched'), ('approach', 'scheduling approach changed')], max_length=16, verbose_name='change'),
        ),
        migrations.AlterField(
            model_name='reportchange',
            name='source',
            field=models.CharField(choices=[('discovery', 'discovery'), ('signal', 'save in the project'), ('change_stamp', 'change stamp'), ('person', 'user'), ('settings', 'settings')], max_length=16, verbose_name='source'),
        ),
    ]
