"""Describe network failures for people: libraries wrap them in objects that print themselves."""

import errno
import http.client
import re
import socket
import ssl
from collections.abc import Iterator

import requests
from urllib3.exceptions import ConnectTimeoutError, ReadTimeoutError

_OBJECTS = re.compile(
    r"<[\w.]++(?: object)? at 0x[0-9a-f]++>:? ?|\b\w++\((?:(?<=Connection\()|(?<=Pool\())[^()]*+\):? ?"
)
"""The printed form of a library's connections and pools within a message."""
LONGEST = 2048
"""Characters of a library's message that are searched: it may quote a whole response."""
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


def error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes; libraries hide a cause in an argument, a reason or an inner exception."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        hidden = (getattr(cause, "reason", None), getattr(cause, "inner_exception", None))
        waiting += [cause.__cause__, cause.__context__, *hidden, *cause.args]


def is_certificate_error(error: BaseException) -> bool:
    """Return True if a certificate was rejected anywhere in the chain; other TLS failures are transient."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in error_chain(error))


def describe(error: BaseException) -> str:
    """Describe the failure by its most specific cause; secrets are not masked."""
    descriptions = [words for cause in error_chain(error) if (words := _of_cause(cause))]
    return descriptions[-1] if descriptions else _of_library(error)


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the host name was not found: {0.strerror}"),
    (ssl.SSLCertVerificationError, "the host's TLS certificate is not trusted: {0.verify_message}"),
    (ssl.SSLError, "TLS failed: {0.reason}"),
    (ConnectionRefusedError, "the host refused the connection"),
    (http.client.RemoteDisconnected, "the host closed the connection without a response"),
    (ConnectionResetError, "the host closed the connection"),
    (BrokenPipeError, "the host closed the connection"),
    (requests.ConnectTimeout, "the host did not accept the connection in time"),
    (ConnectTimeoutError, "the host did not accept the connection in time"),
    (requests.ReadTimeout, "the host did not respond in time"),
    (ReadTimeoutError, "the host did not respond in time"),
)
"""Subclasses before their bases."""


def _of_cause(cause: BaseException) -> str:
    if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
        return "there is no route to the host"
    for kind, words in _WORDS:
        if isinstance(cause, kind):
            return words.format(cause)
    # An exchange's own time-out names the exceeded limit; a socket's does not.
    return str(cause) if isinstance(cause, TimeoutError) and "timed out" not in str(cause) else ""


def _of_library(error: BaseException) -> str:
    text = str(getattr(error.args[0], "reason", None) or error) if error.args else ""
    return f"{type(error).__name__}: {_OBJECTS.sub('', text[:LONGEST])}"
