"""The host with django-unfold in front of Django's admin; its own admin classes stay as they are."""

from __future__ import annotations

from tests.host.settings import *  # noqa: F403
from tests.host.settings import INSTALLED_APPS as DJANGOS

INSTALLED_APPS = ["unfold", *DJANGOS]
