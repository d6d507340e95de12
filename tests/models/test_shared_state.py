"""Rows of shared state: turns, records and locks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from report_orchestrator.models import SharedState
from report_orchestrator.testing import START
from tests.support.threads import at_once

LATER = START + timedelta(minutes=10)


@pytest.mark.django_db
def test_a_turn_is_won_once_until_it_is_due_again() -> None:
    def win(at: datetime) -> bool:
        return SharedState.objects.claim_turn("turn", now=at, until=at + timedelta(seconds=5))

    seconds = (0, 0, 4.9, 5, 5, 9.9, 60)
    won = [win(START + timedelta(seconds=second)) for second in seconds]
    assert won == [True, False, False, True, False, False, True]


@pytest.mark.django_db
def test_turns_of_other_names_are_apart() -> None:
    assert all(SharedState.objects.claim_turn(name, now=START, until=LATER) for name in ("one", "other"))


@pytest.mark.django_db
def test_a_note_replaces_the_one_before() -> None:
    SharedState.objects.record("discovery", now=START, detail={"examined": 3})
    SharedState.objects.record("discovery", now=LATER, detail={"examined": 4})
    mark = SharedState.objects.get()
    assert (str(mark), mark.marked_at, mark.detail) == ("discovery", LATER, {"examined": 4})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_there", [False, True], ids=["new", "due"])
def test_of_many_claims_at_once_one_wins(*, is_there: bool) -> None:
    if is_there:
        SharedState.objects.claim_turn("turn", now=START - timedelta(days=1), until=START)
    won = at_once(*8 * [lambda: SharedState.objects.claim_turn("turn", now=START, until=LATER)])
    assert sorted(won, key=str) == [False] * 7 + [True]


@pytest.mark.django_db(transaction=True)
def test_who_holds_a_mark_is_alone_until_its_transaction_ends() -> None:
    SharedState.objects.record("count", now=START, detail={"n": 0})

    def count_five_times() -> None:
        for _ in range(5):
            with transaction.atomic():
                SharedState.objects.lock("mutex: count", now=START)
                mark = SharedState.objects.get(name="count")
                mark.detail = {"n": mark.detail["n"] + 1}
                mark.save()

    assert at_once(*4 * [count_five_times]) == [None] * 4
    assert SharedState.objects.get(name="count").detail == {"n": 20}


@pytest.mark.django_db
def test_a_hold_outlives_the_row_being_there_already() -> None:
    with transaction.atomic():
        SharedState.objects.lock("mutex", now=START)
        SharedState.objects.lock("mutex", now=datetime(2026, 7, 2, tzinfo=UTC))
    assert connection.needs_rollback is False
    assert SharedState.objects.get().marked_at == datetime(2026, 7, 2, tzinfo=UTC)
