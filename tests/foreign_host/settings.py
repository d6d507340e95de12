"""A second host that has little in common with the first: UUID keys, names of its own, one database, no modifiers, no jobs."""

from __future__ import annotations

import environ

env = environ.Env()

SECRET_KEY = "only-for-tests"
DEBUG = False
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "tests.foreign_host",
    "report_orchestrator",
    "django_q",
]
DATABASES = {
    "default": {**env.db("DATABASE_URL"), "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20}}
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": env.str("CACHE_DIR", default="var/cache"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Amsterdam"
Q_CLUSTER = {
    "name": "foreign",
    "workers": 2,
    "timeout": 120,
    "retry": 600,
    "ack_failures": True,
    "max_attempts": 1,
    "catch_up": False,
    "orm": "default",
    "broker_class": "report_orchestrator.brokers.ticking_broker",
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
    "EVENT_FIELDS": {
        "events": "shapes",
        "name": "label",
        "latitude": "lat",
        "longitude": "lon",
        "radius": "km",
    },
    "EVENT_MODELS": {"ring": "foreign_host.Circle"},
    "RESULT_ROOT": env.str("RESULT_ROOT"),
}
