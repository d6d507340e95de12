"""System checks of the configuration. Each message has a hint with the remedy.

Errors: E001 no settings, E002 unknown key, E003 unreadable value, E004 a model or its fields, E005 unknown name in a mapping,
E006 a dotted path, E007 a setting that the others require, E008 Django-Q is missing, E009 a driver that reads
repeated times inexactly, E010 tables of results, E011 an isolation level of MySQL, E012 a version of MySQL or MariaDB.
Warnings: W101 another app's qcluster, W102 no broker, W103 an address without TLS, W104 results that stay on one machine,
W105 ticks slower than configured on systems without fork, W106 a lease too short for the time-outs within it,
W107 SQLite for one process only, W109 a single worker,
W110 a MySQL or MariaDB database that cannot hold all characters, W111 a comment within a value,
W112 report fields that the payload overwrites, W113 a library in an untested version,
W114 a window of the schedule approach as long as the look-back, W115 one shorter than its cron's gaps,
W116 variables of the system that this app replaces, W117 a folder of results that doubles the lakehouse's own,
W118 a queue in a database without Django-Q's tables, W119 a secret too short to be masked, W120 an isolation
level of PostgreSQL.

settings      the keys and values of the settings, and the libraries
models        the host's models and fields that the settings name
requirements  settings that others require or contradict
database      the database of this app's tables: server, driver and options
queue         Django-Q: its command, its broker and its workers
"""

from django.core.checks import Tags, register

from report_orchestrator.checks.database import check_server
from report_orchestrator.checks.models import check_models
from report_orchestrator.checks.queue import check_queue
from report_orchestrator.checks.requirements import check_requirements
from report_orchestrator.checks.settings import check_libraries, check_settings

__all__ = [
    "check_libraries",
    "check_models",
    "check_queue",
    "check_requirements",
    "check_server",
    "check_settings",
    "register_checks",
]


def register_checks() -> None:
    register(check_settings, Tags.compatibility)
    register(check_models, Tags.models)
    register(check_requirements, Tags.compatibility)
    register(check_queue, Tags.compatibility)
    register(check_server, Tags.database)
    register(check_libraries, Tags.compatibility)
