"""The faults of the local OneLake, and its error responses."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Literal, get_args

from report_orchestrator.sandbox.http.faults import SOCKET_RULES, KindRule, SocketKind, Vocabulary
from report_orchestrator.sandbox.http.responses import RefusedError, Response, json_response

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
LakeFaultKind = SocketKind | Literal["status_code", "status_after_work", "expired_token", "damaged", "short_flush"]

LAKE_ENDPOINTS: tuple[LakeEndpoint, ...] = get_args(LakeEndpoint)
ENTRA_ENDPOINTS: tuple[LakeEndpoint, ...] = ("discovery", "token")

_STATUS = {"status"}
_WORDS = {"retry_after", "error_code", "text"}

LAKE_FAULTS: Vocabulary[LakeEndpoint, LakeFaultKind] = Vocabulary(
    endpoints=LAKE_ENDPOINTS,
    rules={
        "status_code": KindRule(needs=_STATUS, takes=_WORDS, instead_of_work=True),
        # As from a gateway that timed out or repeated the request.
        "status_after_work": KindRule(needs=_STATUS, takes=_WORDS),
        # Invalidates every token issued so far, as after a revocation.
        "expired_token": KindRule(
            endpoints=tuple(name for name in LAKE_ENDPOINTS if name not in ENTRA_ENDPOINTS), instead_of_work=True
        ),
        # The bytes arrive changed; a flush drops the last byte without an error.
        "damaged": KindRule(endpoints=("append",), instead_of_work=True),
        "short_flush": KindRule(endpoints=("flush",), instead_of_work=True),
        **SOCKET_RULES,
    },
)


ERRORS: Mapping[str, tuple[HTTPStatus, str]] = {
    "ConditionNotMet": (HTTPStatus.PRECONDITION_FAILED, "A condition in the headers is not met."),
    "DirectoryNotEmpty": (HTTPStatus.CONFLICT, "A folder that is not empty needs recursive=true."),
    "FilesystemNotFound": (HTTPStatus.NOT_FOUND, "The workspace does not exist."),
    "InvalidBlockList": (HTTPStatus.BAD_REQUEST, "A block of the list is missing."),
    "InvalidFlushPosition": (HTTPStatus.BAD_REQUEST, "The data is not contiguous up to the position."),
    "InvalidQueryParameterValue": (HTTPStatus.BAD_REQUEST, "A query parameter must be a whole number."),
    "InvalidRange": (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "The range is not in the file."),
    "InvalidUri": (HTTPStatus.BAD_REQUEST, "Workspace and item must be both names or both GUIDs."),
    "Md5Mismatch": (HTTPStatus.BAD_REQUEST, "The bytes do not have that MD5."),
    "MissingRequiredQueryParameter": (HTTPStatus.BAD_REQUEST, "A query parameter is missing."),
    "OperationNotAllowedOnThePath": (HTTPStatus.FORBIDDEN, "Fabric manages it. Write below Files or Tables."),
    "PathAlreadyExists": (HTTPStatus.CONFLICT, "The specified path already exists."),
    "PathNotFound": (HTTPStatus.NOT_FOUND, "The specified path does not exist."),
    "RenameDestinationParentPathNotFound": (HTTPStatus.NOT_FOUND, "The target's folder does not exist."),
    "ResourceTypeMismatch": (HTTPStatus.CONFLICT, "A file and a folder cannot share a path."),
    "SourcePathNotFound": (HTTPStatus.NOT_FOUND, "The source path does not exist."),
}
"""The lake's errors by code: status and message."""


class LakeRefusedError(RefusedError):
    """The lake refuses a request with one of its errors."""

    def __init__(self, code: str) -> None:
        status, message = ERRORS[code]
        super().__init__(refusal(status, code, message))


class NotModifiedError(LakeRefusedError):
    """The reader has the current version already."""

    def __init__(self, etag: str) -> None:
        super().__init__("ConditionNotMet")
        headers = {**self.response.headers, "Etag": etag}
        self.response = Response(status=HTTPStatus.NOT_MODIFIED, headers=headers, note="ConditionNotMet")


def refusal(status: int, code: str, message: str) -> Response:
    """Return the lake's error response, with the code in a header and in the body."""
    response = json_response({"error": {"code": code, "message": message}}, status=status, note=code)
    return response.with_headers({"X-Ms-Error-Code": code})
