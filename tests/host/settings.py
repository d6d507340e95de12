"""The host project's settings. Machine-specific values come from the environment or `.env`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import environ

from report_orchestrator.setting_values import without_comment

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"
STATIC_ROOT = VAR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)

env = environ.Env()
if (ROOT / ".env").is_file():
    env.read_env(ROOT / ".env")
# As the app reads them: without a comment behind a value.
env.ENVIRON = {name: without_comment(value) for name, value in os.environ.items()}

APP_ENV = env.str("APP_ENV", default="dev")
DEBUG = env.bool("DEBUG", default=APP_ENV != "prod")
SECRET_KEY = env.str("SECRET_KEY", default="only-for-development-and-tests")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "tests.host.api",
    "report_orchestrator",
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    *(["whitenoise.middleware.WhiteNoiseMiddleware"] if find_spec("whitenoise") else []),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "tests.host.urls"
WSGI_APPLICATION = "tests.host.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
# The admin's files are found where they are installed: nobody has to run collectstatic first.
WHITENOISE_USE_FINDERS = True

SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,  # seconds
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


def database_config(url: str) -> dict[str, Any]:
    """Return Django's settings of the database at a URL."""
    config: dict[str, Any] = dict(env.db_url_config(url))
    if config["ENGINE"] == "django.db.backends.mysql":
        use_pymysql_without_mysqlclient()
    return config


def database(variable: str, default: Path) -> dict[str, Any]:
    """One entry of DATABASES: the URL in that environment variable, or else a SQLite file."""
    config = database_config(env.str(variable, default=f"sqlite:///{default}"))
    if config["ENGINE"] == "django.db.backends.sqlite3":
        file = default if config["NAME"] == ":memory:" else Path(config["NAME"])
        return {
            **config,
            "OPTIONS": SQLITE_OPTIONS | config.get("OPTIONS", {}),
            # Django would test in memory, which a cluster in another process cannot see.
            "TEST": {"NAME": str(file.with_name(f"test_{file.name}"))},
        }
    return {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, **config}


def use_pymysql_without_mysqlclient() -> None:
    """Let PyMySQL, which needs no compiler, stand in for mysqlclient where that is not installed."""
    if "MySQLdb" not in sys.modules and find_spec("MySQLdb") is None:
        import pymysql

        pymysql.install_as_MySQLdb()


DATABASES = {
    "default": database("DATABASE_URL", VAR / "default.sqlite3"),
    "reports": database("REPORTS_DATABASE_URL", VAR / "reports.sqlite3"),
}
DATABASE_ROUTERS = ["tests.host.routers.ReportsRouter"]

Q_BROKER = env.str("Q_BROKER", default="orm")
Q_WORKERS = env.int("Q_WORKERS", default=4)
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")

Q_CLUSTER: dict[str, Any] = {
    "name": env.str("Q_NAME", default="report-orchestrator"),
    "workers": Q_WORKERS,
    "queue_limit": Q_WORKERS,
    "timeout": 120,  # seconds
    "retry": 600,  # seconds
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,  # successes are not kept: reading them back costs more than the work
    "catch_up": False,
    "poll": 0.2,  # seconds
    "log_level": "WARNING",  # otherwise three lines for every tick
    **({"redis": REDIS_URL} if Q_BROKER == "redis" else {"orm": "default"}),
}

# The cluster's processes leave their statistics here for the admin's, so memory alone does not do.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if Q_BROKER == "redis"
    else {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": env.str("CACHE_DIR", default=str(VAR / "cache")),
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # Named so that Django's own handler goes and no line is written twice.
    "loggers": {"django": {"level": "INFO"}},
}

REPORT_ORCHESTRATOR = {
    "REPORT_MODEL": "api.Report",
    "MODIFIER_MODEL": "api.ReportModifier",
    "JOB_MODEL": "api.Job",
    "RESULT_ROOT": ROOT / env.str("RESULT_ROOT", default="var/lake"),
}
