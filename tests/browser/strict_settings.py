"""The host under a Content-Security-Policy that lets nothing inline through."""

from __future__ import annotations

from tests.host.settings import *  # noqa: F403
from tests.host.settings import MIDDLEWARE as HOSTS

MIDDLEWARE = ["tests.browser.policy.StrictPolicy", *HOSTS]
