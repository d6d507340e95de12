"""Secrets out of texts, in every form in which one may come back."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from report_orchestrator.masking import _lent, lent, masked, masked_beginning, remember

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)
AROUND = st.binary(max_size=9)


@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_secret_in_base64_is_masked_wherever_it_stands(secret: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    shown = masked(encoded, (secret,))
    assert "***" in shown
    # At most the letters that a neighbour shares with it are left beside the neighbours' own.
    assert len(shown) <= len(encoded) - len(secret) + 8


@example(secret="0000000%", kept="")
@given(secret=SECRETS, kept=st.sampled_from(["", "/", "/+=", "~!*'()", "&"]))
def test_a_secret_that_is_percent_encoded_in_part_is_masked(secret: str, kept: str) -> None:
    for text in (quote(secret, safe=kept), quote(secret, safe=kept).lower() if secret.islower() else secret):
        assert masked(f"key={text};", (secret,)) == "key=***;"


@given(secret=SECRETS, cut=st.integers(4, 60))
def test_a_secret_that_is_cut_leaves_no_beginning(secret: str, cut: int) -> None:
    assert masked_beginning("-- " + secret[:cut], (secret,)) == "-- ***"


def test_a_secret_within_another_leaves_nothing_of_it() -> None:
    assert masked("k3y-and-more k3y", ("k3y", "k3y-and-more")) == "*** ***"


def test_credentials_that_are_nobodys_setting_are_masked() -> None:
    text = 'redis://:hunter2@cache:6379/0 Bearer abcdefghijklmnop.qrs {"access_token": "tok"} eyJhbGciOiJ9.eyJzdWIi.sig'
    assert masked(text, ()) == 'redis://***@cache:6379/0 Bearer *** {"access_token": "***"} ***'


def test_plain_words_are_left_alone() -> None:
    text = "The bearer key is missing; see https://fireant.example/docs?basic=1 or mail me@example.com about tokens."
    assert masked(text, ()) == text


@pytest.mark.parametrize("password", ["p@ss", "@", "a@b@c", "p:@:w"])
def test_a_password_that_holds_an_at_leaves_no_tail(password: str) -> None:
    text = f"proxy http://me:{password}@proxy.example:8080/path?mail=me@example.com of me@example.com"
    assert (
        masked(text, ()) == "proxy http://***@proxy.example:8080/path?mail=me@example.com of me@example.com"
    )


@pytest.fixture(autouse=True)
def _none_lent() -> Iterator[None]:
    yield
    _lent.clear()


@pytest.fixture
def token() -> str:
    """A token that was just lent, as long as they are."""
    made = "eyJ" + secrets.token_urlsafe(1300) + "." + secrets.token_urlsafe(250)
    remember(made)
    return made


def test_a_lent_token_is_masked_as_it_is_and_encoded(token: str) -> None:
    forms = [token, quote(token), token.encode().hex(), base64.b64encode(token.encode()).decode()]
    for form in forms:
        shown = masked(f"got {form};", ("another",))
        assert "***" in shown
        assert len(shown) < 20
        cut = form[: len(form) // 2]
        assert masked_beginning(f"got {cut}", ("another",)) == "got ***"


def test_an_opaque_lent_token_is_masked_too() -> None:
    remember("opaque-token-of-a-gateway")
    assert masked("x opaque-token-of-a-gateway y", ()) == "x *** y"


def test_many_lent_tokens_cost_next_to_nothing() -> None:
    """With a pattern of all spellings, the first of these lines took 12 seconds."""
    for _ in range(16):
        remember("eyJ" + secrets.token_urlsafe(2100))
        began = time.process_time()
        masked_beginning("a line of a log " * 512, ("a-setting's secret",))
        assert time.process_time() - began < 0.2


def test_a_lent_token_is_remembered_for_a_while() -> None:
    for number in range(20):
        remember(f"token-number-{number}")
        remember(f"token-number-{number}")
    assert lent() == tuple(f"token-number-{number}" for number in range(16, 20))
