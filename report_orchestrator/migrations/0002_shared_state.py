"""The model `Mark` is called `SharedState`; its table keeps its name, so no statement changes it."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("report_orchestrator", "0001_initial")]

    operations = [
        migrations.AlterModelTable(name="mark", table="report_orchestrator_mark"),
        migrations.RenameModel(old_name="Mark", new_name="SharedState"),
        migrations.AlterModelOptions(
            name="sharedstate",
            options={"verbose_name": "shared state", "verbose_name_plural": "shared states"},
        ),
    ]
