"""Mask secrets in texts, in every form in which a response, a library or a formatter may return them."""

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
"""Minimum length of a secret that is also searched in base64 and hexadecimal; shorter ones match by chance.

Checks warn of shorter ones.
"""
SHORTEST_PART = 4
"""Minimum length of a secret's beginning that is masked at the end of a cut text."""

LONGEST = 128 * 1024
"""Characters of a text that are searched and kept: searching a longer one would block the process."""

_USER_OF_URL = re.compile(r"(?<!abfs)(?<!abfss)(?<!wasb)(?<!wasbs)(://)(?:[^/?#\s\"'<>@]*+@)++")
"""Up to the last @ of the authority, since a password may contain another one. In Azure's storage it follows a container."""
_CREDENTIAL = re.compile(r"(?i)\b((?:bearer|basic)\s++)[a-z0-9\-._~+/]{16,}+=*+")
_JWT = re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]++(?:\.[\w-]*+)?+(?:\.[\w-]*+)?+")
_SHORTEST_JWT_HEADER = 11
_LONGEST_NAME = 80
_PAIR = re.compile(r"(?<![\w-])([\w-]++)(\\?[\"']?\s{0,4}+([:=])\s{0,4}+)(\\?[\"']?)")
"""The name of `name=value`, `Name: value` or `"name": "value"`, its separator, and the quote before its value."""
_EMPTY = r"(?!(?:null|None|true|false)\b|\*{3})"
_VALUES = {
    "": re.compile(_EMPTY + r"[^\"'\\\s&,;<>(){}\[\]]++"),
    '"': re.compile(r"(?:[^\"\\]|\\.)++", re.DOTALL),
    "'": re.compile(r"(?:[^'\\]|\\.)++", re.DOTALL),
    '\\"': re.compile(r"[^\"\\]++"),
    "\\'": re.compile(r"[^'\\]++"),
}
_AUTHORIZATION = re.compile(_EMPTY + r"[^\"'\\\s,;<>]++(?:[ \t]++[^\"'\\\s,;<>]++)?+")
"""The value of the header without quotes: scheme and credential."""
_COOKIES = re.compile(r"[^\"'\r\n]++")

_SECRET_PART = re.compile(
    "passw|passphrase|passcode|secret|token|credential|authorization|apikey|accesskey|accountkey|privatekey|signingkey|"
    "encryptionkey|subscriptionkey|functionskey|sharedkey|masterkey|connectionstring|connstr|cookie|signature|"
    "kennwort|geheim|motdepasse|contrase|wachtwoord|hasło|lösenord"
)
_SECRET_WORDS = frozenset({"pass", "pwd", "pw", "sas", "sig", "auth", "bearer", "jwt", "senha", "clave"})
"""Names that suggest a secret, alone or as their last word."""
_SECRET_PARAMETERS = frozenset({"key", "code"})
"""Names that suggest a secret only alone, and in a text only as a parameter of an address."""
_PROSE = frozenset(
    {"token", "tokens", "secret", "secrets", "signature", "credential", "credentials", "auth", "bearer", "pass"}
)
"""Words before which a colon belongs to a sentence."""
_WORDS_OF_NAME = re.compile(r"[A-Z]?[a-zà-ÿ]+|[A-Z]+(?![a-z])|[0-9]+")

_lent: deque[str] = deque(maxlen=4)
"""The current and previous tokens of the process's credential; each lasts an hour or more."""


def remember(token: str) -> None:
    """Mask a token issued to this process, while it is among the last four."""
    if token not in _lent:
        _lent.append(token)


def lent() -> tuple[str, ...]:
    return tuple(_lent)


def masked(text: str, secrets: tuple[str, ...], *, is_cut: bool = False) -> str:
    """Return the text with `***` for every secret, however it is escaped or encoded, and for other credentials.

    Those are lent tokens, users and passwords in URLs, credentials of any scheme, and values under names that suggest a
    secret. `is_cut` also masks the beginning of a secret at the end of a text that was cut, as here at `LONGEST`.
    """
    if len(text) > LONGEST:
        text, is_cut = text[:LONGEST], True
    # A pattern of 16 lent tokens with all spellings takes seconds to compile; they need no escaping, so plain replacement does.
    for token in lent():
        for form in _forms((token,)):
            text = text.replace(form, MASK)
    if secrets:
        text = _pattern(secrets).sub(MASK, text)
    if is_cut:
        text = _without_cut_secret(text, secrets)
    text = _USER_OF_URL.sub(rf"\1{MASK}@", text)
    text = _CREDENTIAL.sub(rf"\1{MASK}", text)
    text = _JWT.sub(_without_jwt, text)
    return _without_values(text)


def _without_jwt(match: re.Match[str]) -> str:
    header, dot, _rest = match[0].partition(".")
    return MASK if dot and len(header) >= _SHORTEST_JWT_HEADER else match[0]


def _without_values(text: str) -> str:
    kept: list[str] = []
    at = 0
    for pair in _PAIR.finditer(text):
        if pair.start() < at or not _pair_suggests_secret(pair):
            continue
        if value := _value_pattern(pair[1], pair[4]).match(text, pair.end()):
            kept += [text[at : pair.end()], MASK]
            at = value.end()
    return "".join([*kept, text[at:]])


def _value_pattern(name: str, quote: str) -> re.Pattern[str]:
    end = name[-len("authorization") :].lower()
    if not quote and end == "authorization":
        return _AUTHORIZATION
    return _COOKIES if not quote and end.endswith("cookie") else _VALUES[quote]


def _pair_suggests_secret(pair: re.Match[str]) -> bool:
    name, is_quoted = pair[1][-_LONGEST_NAME:].lower(), pair[2][0] in "\\\"'"
    if name in _SECRET_PARAMETERS and not is_quoted:
        return pair.string[max(pair.start() - 1, 0)] in "?&"
    return suggests_secret(pair[1][-_LONGEST_NAME:]) and (pair[3] == "=" or is_quoted or name not in _PROSE)


@lru_cache(maxsize=1024)
def suggests_secret(name: str) -> bool:
    """Return True if a value under this name is likely a secret: `db_password`, `AccountKey`, `sig`, `Passwort`."""
    words = [word.lower() for word in _WORDS_OF_NAME.findall(name[-_LONGEST_NAME:])]
    together = "".join(words)
    return together == "key" or not _SECRET_WORDS.isdisjoint(words[-1:]) or _SECRET_PART.search(together) is not None


def _without_cut_secret(text: str, secrets: tuple[str, ...]) -> str:
    for group in (secrets, *((token,) for token in lent())):
        for form in _forms(group):
            if cut := _cut_within(text, form):
                return text[:-cut] + MASK
    return text


def _cut_within(text: str, form: str) -> int:
    """Return the length of the form's beginning at the end of the text; 0 if it is below `SHORTEST_PART`."""
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
    """Return a pattern of a letter, literal or percent-encoded: encoders differ in the letters that they encode."""
    octets = "".join(f"%{octet:02x}" for octet in letter.encode("utf-8", "surrogatepass"))
    # Encoded first, as a percent sign begins its own encoding.
    return f"(?:(?i:{octets})|{re.escape(letter)})"


@lru_cache(maxsize=16)
def _forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Return all forms of all secrets, longest first, since one may contain another."""
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
    """Yield a secret in hexadecimal and base64, alone or inside a longer text such as `user:secret`."""
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
