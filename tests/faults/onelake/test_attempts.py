"""Several attempts at one result leave one whole file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from report_orchestrator.adapters.onelake.address import TEMPORARY
from report_orchestrator.adapters.onelake.store import OneLakeStore
from report_orchestrator.exceptions import TransientError
from report_orchestrator.sandbox.onelake import OneLakeSandbox
from report_orchestrator.sandbox.onelake.faults import LakeEndpoint, LakeFaultKind
from tests.support.onelake_faults import ANOTHER, CONTENT, PATH, assert_stored, new_store

pytestmark = pytest.mark.slow


class TestAnotherAttempt:
    def test_that_was_faster_keeps_its_file(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        faster = new_store(sandbox)

        def overtaken() -> Iterator[bytes]:
            yield CONTENT
            faster.write(PATH, [ANOTHER])

        stored = store.write(PATH, overtaken())

        assert stored.sha256 == hashlib.sha256(ANOTHER).hexdigest()
        assert_stored(sandbox, store, ANOTHER)
        assert sandbox.listing(TEMPORARY) == {}
        faster.close()

    @pytest.mark.parametrize(
        "fault", [{"kind": "reset"}, {"kind": "status_code", "status": 503}], ids=lambda fault: fault["kind"]
    )
    def test_whose_file_cannot_be_read_back_is_read_by_the_next(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, fault: dict[str, Any]
    ) -> None:
        store.write(PATH, [CONTENT])
        sandbox.faults.add("read", **fault)

        with pytest.raises(TransientError):
            store.write(PATH, [ANOTHER])

        assert_stored(sandbox, store)

    @pytest.mark.parametrize("kind", ["reset_mid_body", "short_body"])
    def test_whose_file_breaks_off_when_it_is_read_back_is_read_again(
        self, sandbox: OneLakeSandbox, store: OneLakeStore, kind: LakeFaultKind
    ) -> None:
        store.write(PATH, [CONTENT])
        sandbox.faults.add("read", kind)

        assert_stored(sandbox, store)

    def test_that_was_killed_leaves_what_only_a_sweep_finds(self, sandbox: OneLakeSandbox, store: OneLakeStore) -> None:
        def killed() -> Iterator[bytes]:
            yield CONTENT
            raise SystemExit

        with pytest.raises(SystemExit):
            store.write(PATH, killed())

        assert list(sandbox.listing(TEMPORARY).values()) == [0]
        assert_stored(sandbox, store)
        assert store.sweep(timedelta(hours=1)) == 0
        assert store.sweep(timedelta(seconds=-5)) == 1
        assert_stored(sandbox, store)


@pytest.mark.parametrize(
    "fault", [{"kind": "reset", "times": 2}, {"kind": "status_code", "status": 503}], ids=lambda fault: fault["kind"]
)
@pytest.mark.parametrize("endpoint", ["list", "delete"])
def test_a_sweep_that_fails_can_be_repeated(
    sandbox: OneLakeSandbox, store: OneLakeStore, endpoint: LakeEndpoint, fault: dict[str, Any]
) -> None:
    store._files.create(store._address.temporary(store._address.final(PATH)))
    if endpoint == "delete":
        fault = {**fault, "times": 1}
    sandbox.faults.add(endpoint, **fault)

    with pytest.raises(TransientError):
        store.sweep(timedelta(seconds=-5))

    assert store.sweep(timedelta(seconds=-5)) == 1
