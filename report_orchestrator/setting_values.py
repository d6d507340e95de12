"""The values that settings may have: a parser for each kind, which raises `ValueError` with what the value must be."""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from string import Formatter
from urllib.parse import urlsplit

import environ

from report_orchestrator.domain.cron_parser import parse_cron
from report_orchestrator.exceptions import InvalidCronError


class Secret:
    """A value hidden from repr, logs and tracebacks. Call `reveal()` only where it is sent."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value. Never log, store or format it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret('***')" if self._value else "Secret('')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


COMMENT = re.compile(r"(?<!\s)\s++#")


def without_comment(value: str) -> str:
    """Return an environment variable's value without a trailing `  # comment`; `#` inside a word or quotes is kept."""
    stripped = value.strip()
    if stripped[:1] in {"'", '"'}:
        closing = stripped.find(stripped[0], 1)
        rest = stripped[closing + 1 :].strip()
        if closing > 0 and (not rest or rest.startswith("#")):
            return stripped[1:closing]
    if stripped.startswith("#"):
        return ""
    return COMMENT.split(stripped, maxsplit=1)[0].strip()


def text(raw: object) -> str:
    return raw.strip() if isinstance(raw, str) else str(raw)


def _word(raw: object) -> str:
    """Return a number, word, cron or address, without a comment left over from an env file."""
    return without_comment(raw) if isinstance(raw, str) else str(raw)


def secret(raw: object) -> Secret:
    return raw if isinstance(raw, Secret) else Secret(text(raw))


MOST_DAYS = 36_500
"""Days in the past that every database and calendar can express."""
LONGEST_SPAN = MOST_DAYS * 86_400  # seconds
LONGEST_WAIT = 14 * 86_400
"""Seconds that every system can wait for; some count milliseconds in 31 bits."""


def _number(*, least: float, most: float) -> Callable[[object], float]:
    def parse(raw: object) -> float:
        try:
            number = float(_word(raw))
        except ValueError:
            raise ValueError("it must be a number") from None
        if not least <= number <= most:
            raise ValueError(f"it must be from {_plain_number(least)} to {_plain_number(most)}")
        return number

    return parse


def _plain_number(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def integer(*, least: int = 0, most: int = 1_000_000) -> Callable[[object], int]:
    def parse(raw: object) -> int:
        number = _number(least=least, most=most)(raw)
        if number != int(number):
            raise ValueError("it must be a whole number")
        return int(number)

    return parse


def seconds(*, least: float = 0, most: float = LONGEST_WAIT) -> Callable[[object], timedelta]:
    def parse(raw: object) -> timedelta:
        if isinstance(raw, timedelta):
            raw = raw.total_seconds()
        return timedelta(seconds=_number(least=least, most=most)(raw))

    return parse


def one_of(*words: str) -> Callable[[object], str]:
    def parse(raw: object) -> str:
        word = _word(raw).lower()
        if word not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return word

    return parse


def flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = _word(raw).lower()
    if word not in {*environ.Env.BOOLEAN_TRUE_STRINGS, "false", "off", "no", "n", "0"}:
        raise ValueError("it must be true or false")
    return word in environ.Env.BOOLEAN_TRUE_STRINGS


def mapping(raw: object) -> Mapping[str, str]:
    if not isinstance(raw, Mapping):
        raise ValueError("it must be a dict of strings")  # noqa: TRY004 - read as a wrong value, like all others
    return {str(name): str(value) for name, value in raw.items()}


def url(raw: object) -> str:
    address = _word(raw).rstrip("/")
    if address and (urlsplit(address).scheme not in {"http", "https"} or not urlsplit(address).hostname):
        raise ValueError("it must be a URL that begins with https:// or http://")
    if urlsplit(address).username or urlsplit(address).password:
        raise ValueError("it must not contain a user name or password")
    if "?" in address or "#" in address:
        raise ValueError("it must not contain a query or a fragment, as paths are added to it")
    if any(letter.isspace() or not letter.isprintable() for letter in address):
        raise ValueError("it must not contain spaces or control characters")
    try:
        urlsplit(address).port  # noqa: B018 - the property raises for an invalid port
    except ValueError:
        raise ValueError("its port must be a number up to 65535") from None
    return address


def url_template(*names: str) -> Callable[[object], str]:
    """Return the parser of an address with placeholders in braces."""
    listed = ", ".join(f"{{{name}}}" for name in names)

    def parse(raw: object) -> str:
        address = text(raw)
        try:
            parts = list(Formatter().parse(address))
            is_known = all(part[1] is None or (part[1] in names and not part[2] and not part[3]) for part in parts)
        except ValueError:
            is_known = False
        if not is_known:
            raise ValueError(f"its placeholders must be of {listed}; write other braces twice")
        if address and (urlsplit(address).scheme not in {"http", "https"} or not urlsplit(address).hostname):
            raise ValueError("it must be a URL that begins with https:// or http://")
        return address

    return parse


def account_url(raw: object) -> str:
    """Return OneLake's address: that of its Data Lake half, without a path, as Fabric's "Copy URL" has one."""
    address = url(raw)
    host = (urlsplit(address).hostname or "").lower()
    if urlsplit(address).path:
        raise ValueError(
            f"it must not contain a path, as in {urlsplit(address).scheme}://{host}: workspace, lakehouse and folder are "
            "FABRIC_WORKSPACE_ID, FABRIC_LAKEHOUSE_ID and FABRIC_RESULTS_PATH"
        )
    if ".blob." in host or (host.endswith(_FABRIC) and ".dfs." not in host):
        raise ValueError(
            "it must be the address of OneLake's DFS endpoint, such as https://onelake.dfs.fabric.microsoft.com"
        )
    return address


_FABRIC = ".fabric.microsoft.com"
URLS = frozenset({url, account_url})
"""The parsers of addresses, in which users and passwords are masked."""


def account_name(raw: object) -> str:
    name = _word(raw)
    if not _ACCOUNT.fullmatch(name):
        raise ValueError(
            "it must be a name of letters, digits and hyphens, such as onelake; an address is FABRIC_ACCOUNT_URL"
        )
    return name


_ACCOUNT = re.compile(r"[A-Za-z0-9-]{1,63}")


def host(raw: object) -> str:
    """Return a host name, or a URL of nothing else."""
    name = _word(raw).rstrip("/")
    if name and urlsplit(url(name if "://" in name else f"https://{name}")).path:
        raise ValueError("it must be a host name, or a URL without a path")
    return name


def cron(raw: object) -> str:
    try:
        return parse_cron(_word(raw)).expression
    except InvalidCronError as error:
        raise ValueError(error.message) from error


def path(raw: object) -> Path:
    return raw if isinstance(raw, Path) else Path(text(raw)).expanduser()
