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

from report_orchestrator.masking import LONGEST, _lent, lent, masked, remember, suggests_secret

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)
AROUND = st.binary(max_size=9)


@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_secret_in_base64_is_masked_wherever_it_stands(secret: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    masked_text = masked(encoded, (secret,))
    assert "***" in masked_text
    # At most the letters that a neighbour shares with it are left beside the neighbours' own.
    assert len(masked_text) <= len(encoded) - len(secret) + 8


@example(secret="0000000%", kept="")
@given(secret=SECRETS, kept=st.sampled_from(["", "/", "/+=", "~!*'()", "&"]))
def test_a_secret_that_is_percent_encoded_in_part_is_masked(secret: str, kept: str) -> None:
    for text in (quote(secret, safe=kept), quote(secret, safe=kept).lower() if secret.islower() else secret):
        assert masked(f"key={text};", (secret,)) == "key=***;"


@given(secret=SECRETS, cut=st.integers(4, 60))
def test_a_secret_that_is_cut_leaves_no_beginning(secret: str, cut: int) -> None:
    assert masked("-- " + secret[:cut], (secret,), is_cut=True) == "-- ***"


def test_a_secret_within_another_leaves_nothing_of_it() -> None:
    assert masked("k3y-and-more k3y", ("k3y", "k3y-and-more")) == "*** ***"


def test_credentials_that_are_nobodys_setting_are_masked() -> None:
    text = 'redis://:hunter2@cache:6379/0 Bearer abcdefghijklmnop.qrs {"access_token": "tok"} eyJhbGciOiJ9.eyJzdWIi.sig'
    assert masked(text, ()) == 'redis://***@cache:6379/0 Bearer *** {"access_token": "***"} ***'


@pytest.mark.parametrize(
    "text",
    [
        "The bearer key is missing; see https://fireant.example/docs?basic=1 or mail me@example.com about tokens.",
        "OneLake rejected the token: 401 no error code.",
        "run failed report_key='3' error_code='fireant_500' key=5 compass=3 passenger=4",
        "abfss://grm-bi@onelake.dfs.fabric.microsoft.com/lake.Lakehouse",
        '{"password": null, "token": "", "auth": {"kind": 1}, "priority": 5}',
        "Bearer authentication",
    ],
)
def test_plain_words_are_left_alone(text: str) -> None:
    assert masked(text, ()) == text


SIGNED = "https://acct.blob.core.windows.net/r/f.json?sv=2022-11-02&sp=rw&sig={} : 403"


@pytest.mark.parametrize(
    ("shape", "secret"),
    [
        ("cannot read " + SIGNED, "q1w2e3r4t5y6u7i8o9p0%2Fabc%3D"),
        ("https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature={}", "abcdef0123"),
        ("https://f.azurewebsites.net/api?code={}&x=1", "abc=="),
        ("https://maps.example/?key={}", "abcdef"),
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=x", "QUJDREVG=="),
        ("Endpoint=sb://x/;SharedAccessKeyName=k;SharedAccessKey={}", "QUJDREVG="),
        ("Server=tcp:x;User ID=me;Password={};Encrypt=yes", "hunter2"),
        ("Authorization: Token {}", "abcdef0123456789"),
        ("authorization: {}", "abcdef0123456789"),
        ("{{'Authorization': '{}', 'Accept': '*/*'}}", "Custom abc def"),
        ('Proxy-Authorization: Basic {}"', "dTpw"),
        ("X-Api-Key: {}", "abcdef0123456789"),
        ("Ocp-Apim-Subscription-Key: {}", "abcdef0123456789"),
        ("Bearer  {}", "abcdefghijklmnopqrst"),
        ("client_secret={}", "abc"),
        ("db_pwd={} and more", "abc"),
        ("Passwort: {}", "geheim"),
        ('{{"apiKey": "{}", "x": 1}}', 'ab\\"c d'),
        ('{{\\"password\\": \\"{}\\"}}', "ab c"),
        ("Set-Cookie: {}", "sid=abc; Path=/; other=def"),
        ("redis://:{}@cache:6379", "p" * 5000),
        ("amqps://user:{}@mq/vhost", "p@ss"),
        ("token-eyJhbGciOiJ9.{}", "eyJzdWIi.c2lnbmF0dXJl"),
    ],
)
def test_credentials_are_known_by_their_shape(shape: str, secret: str) -> None:
    masked_text = masked(shape.format(secret), ())
    assert secret not in masked_text
    assert "***" in masked_text


SECRET = (
    "pass pwd sas sig signature account_key access_key shared_access_signature auth bearer conn_str key Passwort "
    "connectionString apiKey API_KEY password1 clientSecret refresh_token mot_de_passe"
)
PLAIN = "passenger compass id value report_key priority spin author authority code is_authorized pass_through"


@pytest.mark.parametrize(("names", "suggest"), [(SECRET, True), (PLAIN, False)])
def test_names_that_suggest_a_secret(names: str, suggest: bool) -> None:
    assert [name for name in names.split() if suggests_secret(name) is not suggest] == []


def test_a_very_long_text_is_cut_before_it_is_searched() -> None:
    secret = "a-secret-of-the-settings"
    text = "x" * (LONGEST - 5) + secret + "y" * LONGEST
    assert masked(text, (secret,)) == "x" * (LONGEST - 5) + "***"


@pytest.mark.parametrize("password", ["p@ss", "@", "a@b@c", "p:@:w"])
def test_a_password_that_holds_an_at_leaves_no_tail(password: str) -> None:
    text = f"proxy http://me:{password}@proxy.example:8080/path?mail=me@example.com of me@example.com"
    assert masked(text, ()) == "proxy http://***@proxy.example:8080/path?mail=me@example.com of me@example.com"


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
        masked_text = masked(f"got {form};", ("another",))
        assert "***" in masked_text
        assert len(masked_text) < 20
        cut = form[: len(form) // 2]
        assert masked(f"got {cut}", ("another",), is_cut=True) == "got ***"


def test_an_opaque_lent_token_is_masked_too() -> None:
    remember("opaque-token-of-a-gateway")
    assert masked("x opaque-token-of-a-gateway y", ()) == "x *** y"


def test_many_lent_tokens_cost_next_to_nothing() -> None:
    """With a pattern of all spellings, the first of these lines took 12 seconds."""
    for _ in range(16):
        remember("eyJ" + secrets.token_urlsafe(2100))
        began = time.process_time()
        masked("a line of a log " * 512, ("a-setting's secret",), is_cut=True)
        assert time.process_time() - began < 2


def test_a_lent_token_is_remembered_for_a_while() -> None:
    for number in range(20):
        remember(f"token-number-{number}")
        remember(f"token-number-{number}")
    assert lent() == tuple(f"token-number-{number}" for number in range(16, 20))
