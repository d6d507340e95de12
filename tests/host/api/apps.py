from __future__ import annotations

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "tests.host.api"
    label = "api"
    verbose_name = "Exposure reports"
