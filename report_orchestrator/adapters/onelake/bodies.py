"""Read the error codes of OneLake and Entra from the bodies of their responses, which may be of any proxy's making."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ServiceResponseError

LONGEST_BODY = 64 * 1024
"""Bytes of a response that are searched for a code."""
TEMPORARY = frozenset({"temporarily_unavailable", "server_error"})
"""Errors of OAuth that pass, whatever the status (RFC 6749, 4.1.2.1)."""
TEMPORARY_CODES = frozenset({50087, 90006, 90012, 90024, 90025, 90033})
"""Entra's numbers for unavailable services, time-outs and spent budgets: AADSTS90033 and the like.

Source: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

_CODE = re.compile(r"[\w.-]{1,80}", re.ASCII)
_CODE_IN_XML = re.compile(r"<Code>([\w.-]{1,80})</Code>", re.ASCII)


@contextmanager
def response_errors() -> Iterator[None]:
    """Raise the error of a response where the SDK fails on its body, such as `{"error": "text"}`."""
    try:
        yield
    except (AttributeError, TypeError) as error:
        if (response_error := _response_error_before(error)) is None:
            raise
        raise response_error from None
    except RecursionError as error:
        raise ServiceResponseError("the response is nested too deeply to be read") from error


def _response_error_before(error: BaseException) -> HttpResponseError | None:
    before = error.__context__
    while before is not None and not isinstance(before, HttpResponseError):
        before = before.__context__
    return before


def error_code(error: AzureError) -> str:
    """Return OneLake's own error code, from the header or else the body; or an empty text."""
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    if response is None:
        return ""
    in_header = str(response.headers.get("x-ms-error-code", ""))
    return in_header if _CODE.fullmatch(in_header) else _code_in(_text_of(response))


def is_temporary(response: Any) -> bool:
    """Return True if a token endpoint calls its refusal temporary."""
    document = _document(_text_of(response))
    codes = document.get("error_codes")
    return document.get("error") in TEMPORARY or (
        isinstance(codes, list) and any(code in TEMPORARY_CODES for code in codes if isinstance(code, int))
    )


def _code_in(text: str) -> str:
    error = _document(text).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and _CODE.fullmatch(code):
        return code
    in_xml = _CODE_IN_XML.search(text)
    return in_xml[1] if in_xml else ""


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text_of(response: Any) -> str:
    try:
        body = response.body()
    except AzureError:  # the body is not read, or broke off
        return ""
    return bytes(body[:LONGEST_BODY]).decode("utf-8-sig", "replace") if body else ""
