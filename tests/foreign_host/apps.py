"""The app of the second host."""

from django.apps import AppConfig


class ForeignHostConfig(AppConfig):
    """Named by its last part."""

    name = "tests.foreign_host"
    label = "foreign_host"
