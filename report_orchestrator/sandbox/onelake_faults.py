"""What can go wrong in the local OneLake, and its own word for each of its refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, get_args

from report_orchestrator.sandbox.answers import Answer, bytes_answer
from report_orchestrator.sandbox.faults import SOCKET_RULES, KindRule, SocketKind, Vocabulary

LakeEndpoint = Literal[
    "discovery",
    "token",
    "create_folder",
    "create",
    "append",
    "flush",
    "rename",
    "delete",
    "head",
    "read",
    "list",
    "put_blob",
    "put_block",
    "put_block_list",
    "list_blobs",
]
LakeFaultKind = (
    SocketKind | Literal["status_code", "status_after_work", "expired_token", "damaged", "short_flush"]
)

LAKE_ENDPOINTS: tuple[LakeEndpoint, ...] = get_args(LakeEndpoint)
ENTRA_ENDPOINTS: tuple[LakeEndpoint, ...] = ("discovery", "token")

_STATUS = frozenset({"status"})
_WORDS = frozenset({"retry_after", "error_code", "text"})

LAKE_FAULTS: Vocabulary[LakeEndpoint, LakeFaultKind] = Vocabulary(
    endpoints=LAKE_ENDPOINTS,
    rules={
        "status_code": KindRule(needs=_STATUS, takes=_WORDS, instead_of_work=True),
        # What a gateway says that waited too briefly, or that asked for the same twice.
        "status_after_work": KindRule(needs=_STATUS, takes=_WORDS),
        # Refuses every token given out so far, as after a revocation or between two clocks.
        "expired_token": KindRule(
            endpoints=tuple(name for name in LAKE_ENDPOINTS if name not in ENTRA_ENDPOINTS),
            instead_of_work=True,
        ),
        # The bytes arrive changed; and a flush that says nothing of the last byte that it forgets.
        "damaged": KindRule(endpoints=("append",), instead_of_work=True),
        "short_flush": KindRule(endpoints=("flush",), instead_of_work=True),
        **SOCKET_RULES,
    },
)


class LakeRefusedError(Exception):
    """The lake refuses a request: a status, its own word for why, and headers that belong to it."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.answer = refusal(status, code, message, headers)


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An error as the lake words it: in a header, and again in the body."""
    body = b"" if status == HTTPStatus.NOT_MODIFIED else _error_body(code, message)
    return Answer(
        status=status,
        length=len(body),
        chunks=(body,),
        headers={"Content-Type": "application/json", "X-Ms-Error-Code": code, **(headers or {})},
        note=code,
    )


def raw_refusal(status: int, body: str) -> Answer:
    """An answer that something in front of the lake gives, which has no word of the lake's in it."""
    return bytes_answer(body.encode(), status=status)


def _error_body(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()
