"""Responses of a known length, whose body may be larger than memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from report_orchestrator.sandbox.http.faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP response and the fault to send it with. `chunks` yields `length` bytes in all; `note` is for the log."""

    status: int = HTTPStatus.OK
    length: int = 0
    chunks: Iterable[bytes] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    fault: Fault[Any, Any] | None = None

    def with_headers(self, headers: Mapping[str, str]) -> Response:
        return replace(self, headers={**self.headers, **headers})


class RefusedError(Exception):
    """A request is refused with a response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.note)
        self.response = response


def bytes_response(body: bytes, *, status: int = HTTPStatus.OK, note: str = "") -> Response:
    headers = {"Content-Type": "application/json"}
    return Response(status=status, length=len(body), chunks=(body,), headers=headers, note=note)


def json_response(document: object, *, status: int = HTTPStatus.OK, note: str = "") -> Response:
    return bytes_response(json.dumps(document).encode(), status=status, note=note)


def error_response(status: int, message: str) -> Response:
    return json_response({"error": message}, status=status, note=message)


def scripted_response(fault: Fault[Any, Any], response: Response) -> Response:
    """Return `response`, or the fault's own text with the same status, with the fault's `Retry-After`."""
    if fault.text is not None:
        response = bytes_response(fault.text.encode(), status=response.status)
    return response if fault.retry_after is None else response.with_headers({"Retry-After": fault.retry_after})
