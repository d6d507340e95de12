"""Every time is decided as an independent model of the rules decides it."""

from __future__ import annotations

import os

import pytest

from tests.support.schedule_histories import make_batch
from tests.support.schedule_players import find_difference

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

FIRST, COUNT = map(int, os.environ.get("SCHEDULE_SEEDS", "0+10").split("+"))
"""The first seed and their number. Each seed makes 500 histories."""


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_random_histories_are_decided_as_by_the_model(seed: int) -> None:
    difference = find_difference(make_batch(seed, reports=500))
    assert not difference, difference
