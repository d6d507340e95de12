"""The same host without time zones, with its clocks in New York."""

from tests.host.settings import *  # noqa: F403

USE_TZ = False
TIME_ZONE = "America/New_York"
