"""A second host that has little in common with the first: UUID keys, names of its own, one database, no modifiers, no jobs.

Its queue was there before, and no key of it was changed for this app.
"""

from __future__ import annotations

import environ

env = environ.Env()

SECRET_KEY = "only-for-tests"
DEBUG = False
INSTALLED_APPS = [
    "django_q",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "tests.foreign_host",
    "report_orchestrator",
]
DATABASES = {"default": {**env.db("DATABASE_URL"), "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Amsterdam"
# For the host's own tasks, and the opposite of what would suit ours; the cache is Django's default.
Q_CLUSTER = {
    "name": "foreign",
    "workers": 2,
    "timeout": 5,
    "retry": 2,
    "recycle": 3,
    "save_limit": 5,
    "cached": 60,
    "scheduler": False,
    "orm": "default",
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
REPORT_ORCHESTRATOR = {
    "REPORT_MODEL": "foreign_host.Analysis",
    "REPORT_FIELDS": {
        "name": "title",
        "cron": "timing__expression",
        "timezone": "timing__zone",
        "event_group": "footprint",
        "enabled": "live",
        "updated": "touched_at",
    },
    "EVENT_FIELDS": {"events": "shapes", "name": "label", "latitude": "lat", "longitude": "lon", "radius": "km"},
    "EVENT_MODELS": {"ring": "foreign_host.Circle"},
    "RESULT_ROOT": env.str("RESULT_ROOT"),
}
