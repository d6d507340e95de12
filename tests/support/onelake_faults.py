"""A store whose lake fails on purpose, and a reader that looks at the worst moments."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping

import pytest

from report_orchestrator.adapters.onelake.connection import PIECE
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.conf import parse_settings
from report_orchestrator.exceptions import OrchestratorError
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint

PATH = "7/2026-07-01/0b1c.json"
FOLDER = "Files/report_results"
CONTENT = b"a small result"
LARGE = b"x" * PIECE + b"y"
ANOTHER = b"what another attempt has stored"
SHORT = 1.0  # seconds that the store waits for an answer
LONG = 60.0  # seconds that a slow machine does not need, and much less than a stall lasts
FOR_EVER = 3600.0  # seconds; a stall ends with the sandbox
ONE_WRITE: tuple[LakeEndpoint, ...] = ("create_folder", "create", "append", "flush", "rename", "head")


class Reader:
    """A reader that lists the results at the worst moments, from many threads."""

    def __init__(self, sandbox: OneLakeSandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self.seen: list[Mapping[str, int]] = []

    def look(self) -> None:
        listing = self._sandbox.listing(FOLDER)
        with self._lock:
            self.seen.append(listing)

    def assert_only_whole_files_were_seen(self, *contents: bytes) -> None:
        """Assert that readers saw no file, or one with the complete content; and never fewer than before."""
        whole = [{PATH: len(content)} for content in contents]
        assert all(listing == {} or listing in whole for listing in self.seen), self.seen
        there = [listing != {} for listing in self.seen]
        assert there == sorted(there)


def new_store(sandbox: OneLakeSandbox, **changes: object) -> OneLakeStore:
    given = {**sandbox.settings_overrides(), "TIMEOUT_SECONDS": 10, **changes}
    settings, problems = parse_settings(given, {})
    assert problems == []
    return OneLakeStore(settings)


def assert_stored(sandbox: OneLakeSandbox, store: OneLakeStore, content: bytes = CONTENT) -> None:
    """Assert that the next attempt, or a repetition of this one, finds or creates the one file."""
    stored = store.write(PATH, [CONTENT])
    assert (stored.size, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert sandbox.listing(FOLDER) == {PATH: len(content)}
    assert sandbox.content(f"{FOLDER}/{PATH}") == content


def failed_write(sandbox: OneLakeSandbox, store: OneLakeStore) -> OrchestratorError:
    """Return the error of a write that leaves no result."""
    with pytest.raises(OrchestratorError) as raised:
        store.write(PATH, [CONTENT])
    assert sandbox.options.client_secret not in str(raised.value)
    assert sandbox.listing(FOLDER) == {}
    return raised.value
