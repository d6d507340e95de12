"""The app of all foreign hosts."""

from django.apps import AppConfig


class HostsConfig(AppConfig):
    """Installed by tests only."""

    name = "tests.hosts"
    label = "hosts"
    default_auto_field = "django.db.models.BigAutoField"
