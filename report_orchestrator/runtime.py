"""The ports, the clock and the effective settings that a service needs, in one object."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

from report_orchestrator.conf import Settings
from report_orchestrator.ports import Ports


def _unchanged(settings: Settings) -> Settings:
    return settings


@dataclass(frozen=True, kw_only=True)
class Runtime(Ports):
    """The ports and the settings of one task, request or command; made by `wiring.get_runtime`.

    `configured` are the settings of this process; `settings` the effective ones, which may name another approach.
    """

    configured: Settings
    make_effective: Callable[[Settings], Settings] = _unchanged

    @cached_property
    def settings(self) -> Settings:
        """The effective settings, read from the database once, at their first use."""
        return self.read_settings()

    def read_settings(self) -> Settings:
        """Read the effective settings again: another process may have switched them since."""
        return self.make_effective(self.configured)

    def as_configured(self) -> Self:
        """Return a runtime whose effective settings are those of this process."""
        return replace(self, make_effective=_unchanged)

    @classmethod
    def of(
        cls, ports: Ports, configured: Settings, make_effective: Callable[[Settings], Settings] = _unchanged
    ) -> Self:
        """Join ports and settings."""
        given = {port.name: getattr(ports, port.name) for port in fields(Ports)}
        return cls(**given, configured=configured, make_effective=make_effective)
