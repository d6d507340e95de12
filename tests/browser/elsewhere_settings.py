"""The host with an AdminSite of its own, at another address, in a base template of its own."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from tests.host.settings import *  # noqa: F403
from tests.host.settings import TEMPLATES as HOSTS

ROOT_URLCONF = "tests.support.other_admin_urls"
TEMPLATES = deepcopy(HOSTS)
TEMPLATES[0]["DIRS"] = [Path(__file__).parent / "templates"]
