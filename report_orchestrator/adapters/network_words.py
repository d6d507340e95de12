"""What went wrong on the network, in words for a person: libraries wrap it in objects that print themselves."""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
from collections.abc import Iterator

import requests
from urllib3.exceptions import ConnectTimeoutError, ReadTimeoutError

_OBJECTS = re.compile(r"<[\w.]+(?: object)? at 0x[0-9a-f]+>:? ?|\w*(?:Connection|Pool)\([^()]*\):? ?")
"""How a library's connections and pools print themselves within a message."""
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything behind it; libraries hide a cause as an argument, a reason or an inner exception."""
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


def is_distrust(error: BaseException) -> bool:
    """Whether a certificate was refused, anywhere among the causes; other failures of TLS may pass."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error))


def in_words(error: BaseException) -> str:
    """What went wrong, from the cause that says it best; secrets are not masked."""
    said = [words for cause in causes(error) if (words := _of_cause(cause))]
    return said[-1] if said else _of_library(error)


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the host's name was not found: {0.strerror}"),
    (ssl.SSLCertVerificationError, "the host's TLS certificate is not trusted: {0.verify_message}"),
    (ssl.SSLError, "TLS failed: {0.reason}"),
    (ConnectionRefusedError, "the host refused the connection"),
    (http.client.RemoteDisconnected, "the host closed the connection without an answer"),
    (ConnectionResetError, "the host closed the connection"),
    (BrokenPipeError, "the host closed the connection"),
    (requests.ConnectTimeout, "the host did not take the connection in time"),
    (ConnectTimeoutError, "the host did not take the connection in time"),
    (requests.ReadTimeout, "the host said nothing in time"),
    (ReadTimeoutError, "the host said nothing in time"),
)
"""The narrower before the wider."""


def _of_cause(cause: BaseException) -> str:
    if isinstance(cause, OSError) and cause.errno in _UNREACHABLE:
        return "there is no way to the host"
    for kind, words in _WORDS:
        if isinstance(cause, kind):
            return words.format(cause)
    # A watch over an exchange says what was exceeded; a socket, only that it timed out.
    return str(cause) if isinstance(cause, TimeoutError) and "timed out" not in str(cause) else ""


def _of_library(error: BaseException) -> str:
    text = str(getattr(error.args[0], "reason", None) or error) if error.args else ""
    return f"{type(error).__name__}: {_OBJECTS.sub('', text)}"
