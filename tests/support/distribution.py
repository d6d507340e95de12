"""The order of the test files, and those that one worker runs together."""

from __future__ import annotations

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

TOGETHER = "tests/browser/"


class FilesAndTheBrowser(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Give each worker whole files; all of the browser to one, since its demo takes a minute to fill."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else str(super()._split_scope(nodeid))


def put_slow_files_first(items: list[pytest.Item]) -> None:
    """Let no worker begin a long file when the others are about to end."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in slow)
