"""Name the Delta table of the results, and refuse paths that delta-rs resolves to other folders."""

import re
import uuid
from pathlib import Path

from report_orchestrator.conf import Settings
from report_orchestrator.domain.paths import is_plain
from report_orchestrator.exceptions import ConfigurationError

ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
"""A percent-encoded character, which delta-rs decodes in paths too: it creates a table in `50%20x` and searches `50 x` for it."""
_FOREIGN = re.compile(r"[\x00-\x1f\x7f\[\]\\^|]")
"""Characters of a local path with which delta-rs fails, some by a panic."""
_AREAS = frozenset({"files", "tables"})


def table_name(settings: Settings) -> str:
    """Return the table's path below `Tables`: `<name>`, or `<schema>/<name>` in a lakehouse with schemas.

    Raises:
        ConfigurationError: RESULT_TABLE is no such path.
    """
    name = settings.result_table.strip("/") or settings.fabric_results_path.strip("/").rpartition("/")[2]
    schema, _, _name = name.rpartition("/")
    if not is_plain(name) or "/" in schema or schema.lower() in _AREAS or ESCAPE.search(name):
        raise ConfigurationError(
            f"RESULT_TABLE is '{name}'. Set it to the name of a table, or to a schema and a name such as dbo/report_results."
        )
    return name


def probe_table_name(settings: Settings) -> str:
    """Return a new name for the doctor's own table, in the schema of the results' one."""
    schema, slash, _name = table_name(settings).rpartition("/")
    return f"{schema}{slash}_doctor_{uuid.uuid4().hex}"


def local_table(settings: Settings, name: str = "") -> Path:
    """Return the folder of a table below RESULT_ROOT; without a name, that of the results.

    Raises:
        ConfigurationError: delta-rs cannot use the path.
    """
    folder = settings.result_root.absolute() / "Tables" / (name or table_name(settings))
    if unusable := ESCAPE.search(str(folder)) or _FOREIGN.search(str(folder)):
        raise ConfigurationError(
            f"RESULT_ROOT leads to {str(folder)!r}, and tables cannot be in a path with {unusable[0]!r}. Use another folder, "
            "or set RESULT_TABLES to false."
        )
    return folder
