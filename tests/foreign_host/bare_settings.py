"""The same host with only those optional apps of Django that KEPT_APPS names, and templates as `startproject` writes them."""

from tests.foreign_host.settings import *  # noqa: F403 - the settings of that host, but for these
from tests.foreign_host.settings import INSTALLED_APPS as _APPS
from tests.foreign_host.settings import env

INSTALLED_APPS = [app for app in _APPS if not app.startswith("django.contrib")]
INSTALLED_APPS += [f"django.contrib.{name}" for name in env.list("KEPT_APPS", default=[])]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
