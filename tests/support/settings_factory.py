"""Settings without the host's dict or the environment."""

from __future__ import annotations

from report_orchestrator.conf import Settings, parse_settings


class SettingsFactory:
    """`SettingsFactory.make(POLL_INTERVAL_SECONDS=1)`: defaults, except for the given keys."""

    @staticmethod
    def make(**given: object) -> Settings:
        """Return the settings."""
        settings, problems = parse_settings({"REPORT_MODEL": "api.Report", **given}, {})
        assert not problems, problems
        return settings
