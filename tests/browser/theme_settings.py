"""The host in another theme of the admin, or in a right-to-left language: ADMIN_THEME in the environment."""

from __future__ import annotations

import os

from tests.host.settings import *  # noqa: F403
from tests.host.settings import INSTALLED_APPS as DJANGOS

THEMES = {
    "unfold": ["unfold"],
    "jazzmin": ["jazzmin"],
    "grappelli": ["grappelli"],
    "admin-interface": ["admin_interface", "colorfield"],
    "arabic": [],
}
THEME = os.environ["ADMIN_THEME"]

INSTALLED_APPS = [*THEMES[THEME], *DJANGOS]
if THEME == "arabic":
    LANGUAGE_CODE = "ar"
if THEME == "grappelli":
    ROOT_URLCONF = "tests.browser.grappelli_urls"
