"""MySQL and MariaDB only: one run for each occurrence, and keys that differ in case or trailing spaces.

These databases ignore the condition of a constraint, so a generated column, null for manual runs, carries the uniqueness.
It is computed on reading, and no row is rewritten for it. Other databases have the conditional constraint of 0001.
"""

from collections.abc import Sequence
from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

APP = "report_orchestrator"
EXACT_TEXTS = {
    "ReportSchedule": ("report_model", "report_key"),
    "ReportRun": ("report_key", "modifier_key", "fireant_job_id"),
    "SharedState": ("name",),
}
"""Columns that are compared as a whole. The collations by default take "a", "A" and "a " for equal."""


def enforce(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor != "mysql":
        return
    for name, fields in EXACT_TEXTS.items():
        model = apps.get_model(APP, name)
        columns = [model._meta.get_field(field) for field in fields]
        schema_editor.execute(_with_exact_columns(schema_editor.connection, model._meta.db_table, columns))
    schema_editor.execute(
        "ALTER TABLE report_orchestrator_reportrun "
        "ADD COLUMN occurrence datetime(6) GENERATED ALWAYS AS (CASE WHEN `trigger` <> 'manual' THEN scheduled_for END) VIRTUAL, "
        "ADD CONSTRAINT ro_run_occurrence_uniq UNIQUE (schedule_id, occurrence)"
    )


def _with_exact_columns(connection: Any, table: str, columns: Sequence[Any]) -> str:
    collation = "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"
    quote = connection.ops.quote_name
    changes = ", ".join(
        f"MODIFY {quote(column.column)} {column.db_type(connection)} CHARACTER SET utf8mb4 COLLATE {collation} NOT NULL"
        for column in columns
    )
    return f"ALTER TABLE {quote(table)} {changes}"


def stop_enforcing(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The columns stay exact, since the keys may need it by now."""
    if schema_editor.connection.vendor == "mysql":
        schema_editor.execute("ALTER TABLE report_orchestrator_reportrun DROP COLUMN occurrence, DROP INDEX ro_run_occurrence_uniq")


class Migration(migrations.Migration):
    dependencies = [(APP, "0004_run_idle_time")]

    operations = [migrations.RunPython(enforce, stop_enforcing, atomic=False)]  # these databases refuse DDL in a transaction
