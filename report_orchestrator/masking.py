"""Secrets out of texts: in every form in which an answer, a library or a formatter may give one back."""

from __future__ import annotations

import base64
import html
import json
import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST_ENCODED = 8
"""Characters of a secret from which on it is looked for in base64 and hexadecimal: shorter ones would be found by chance."""
SHORTEST_PART = 4
"""Characters from which on the beginning of a secret counts as one, where a text was cut."""

_USER_OF_URL = re.compile(r"(://)[^/?#\s\"'<>]{1,300}@")
"""Up to the last @ of the authority, as an address is read: a password may hold another one."""
_CREDENTIAL = re.compile(r"(?i)\b((?:bearer|basic) )[a-z0-9\-._~+/]{16,}=*")
_TOKEN = re.compile(r"(?i)((?:access|refresh|id)_token\\?[\"']?\s*[:=]\s*\\?[\"']?)[^\"'\\\s&,}]+")
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?")

_lent: deque[str] = deque(maxlen=4)
"""A process has one credential, whose token lasts an hour or more: the present one, and those that it followed."""


def remember(token: str) -> None:
    """Masks a token that the outside has lent us, from now on and for as long as it is among the last few."""
    if token not in _lent:
        _lent.append(token)


def lent() -> tuple[str, ...]:
    """The last few tokens."""
    return tuple(_lent)


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """The text with `***` for every secret, however it is escaped or encoded, and for credentials that are nobody's setting:
    lent tokens, bearer tokens, and the users and passwords of addresses such as a proxy's.

    A lent token is long, and of letters that nobody escapes: it is looked for as it is and encoded, without a pattern. One of
    16 such tokens with every letter's spelling takes seconds to compile.
    """
    for token in lent():
        for form in _forms((token,)):
            text = text.replace(form, MASK)
    if secrets:
        text = _pattern(secrets).sub(MASK, text)
    text = _USER_OF_URL.sub(rf"\1{MASK}@", text)
    for credential in (_CREDENTIAL, _TOKEN):
        text = credential.sub(rf"\1{MASK}", text)
    return _JWT.sub(MASK, text)


def masked_beginning(text: str, secrets: tuple[str, ...]) -> str:
    """The same for the beginning of a longer text, which may have been cut within a secret."""
    text = masked(text, secrets)
    for kept in (secrets, *((token,) for token in lent())):
        for form in _forms(kept):
            if cut := _cut_within(text, form):
                return text[:-cut] + MASK
    return text


def _cut_within(text: str, form: str) -> int:
    """How many of the text's last letters are the beginning of the form, `SHORTEST_PART` at least; else 0."""
    begins = form[:SHORTEST_PART]
    at = text.find(begins, max(len(text) - len(form) + 1, 0))
    while at >= 0:
        if form.startswith(text[at:]):
            return len(text) - at
        at = text.find(begins, at + 1)
    return 0


@lru_cache(maxsize=8)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str]:
    mixed = ["".join(map(_any_spelling, secret)) for secret in sorted(secrets, key=len, reverse=True)]
    return re.compile("|".join([*mixed, *(re.escape(form) for form in _forms(secrets))]))


def _any_spelling(letter: str) -> str:
    """A pattern of a letter as it is or percent-encoded: who encodes does not always encode the same letters."""
    octets = "".join(f"%{octet:02x}" for octet in letter.encode("utf-8", "surrogatepass"))
    # Encoded first, as a percent sign begins its own encoding.
    return f"(?:(?i:{octets})|{re.escape(letter)})"


@lru_cache(maxsize=16)
def _forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """All forms of all secrets, the longest first, as one may hold another."""
    forms = {form for secret in secrets for form in (*_escaped(secret), *_encoded(secret))}
    return tuple(sorted(forms - {""}, key=len, reverse=True))


def _escaped(secret: str) -> Iterator[str]:
    yield secret
    yield html.escape(secret)
    yield repr(secret)[1:-1]
    for ensure_ascii in (True, False):
        in_json = json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1]
        yield in_json
        yield json.dumps(in_json, ensure_ascii=ensure_ascii)[1:-1]
    yield quote(secret, safe="", errors="replace")
    yield quote_plus(secret, errors="replace")


def _encoded(secret: str) -> Iterator[str]:
    """Hexadecimal, and what of a secret shows in base64, alone or at any place of a longer text such as `user:secret`."""
    octets = secret.encode("utf-8", "surrogatepass")
    if len(octets) < SHORTEST_ENCODED:
        return
    yield octets.hex()
    yield octets.hex().upper()
    for before in range(3):
        in_base64 = base64.b64encode(b"\0" * before + octets).decode().rstrip("=")
        # The first and the last letter share bits with the neighbours, whatever those are.
        shared_at_end = bool((before + len(octets)) % 3)
        form = in_base64[(0, 2, 3)[before] : len(in_base64) - shared_at_end]
        yield form
        yield form.translate(str.maketrans("+/", "-_"))
