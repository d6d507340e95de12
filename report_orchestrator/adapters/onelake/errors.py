"""Translate failures of OneLake and Entra into `report_orchestrator.exceptions`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline import PipelineResponse

from report_orchestrator.adapters.http.headers import retry_after
from report_orchestrator.adapters.http.network_errors import describe, error_chain, is_certificate_error
from report_orchestrator.adapters.masked_errors import with_masked_causes
from report_orchestrator.adapters.onelake.bodies import error_code, is_temporary, response_errors
from report_orchestrator.conf import Settings
from report_orchestrator.domain.error_codes import ErrorCode, response_code
from report_orchestrator.exceptions import ConfigurationError, OrchestratorError, StorageError, TransientError
from report_orchestrator.masking import masked

AT_CAPACITY = "CapacityLimitExceeded"
PAUSED = re.compile(r"(?i)capacity(?:notactive|inactive|paused|suspended)")
"""The codes of a Fabric capacity that someone has paused."""
DAMAGED = frozenset(
    {
        "Crc64Mismatch",
        "InvalidBlobOrBlock",
        "InvalidFlushPosition",
        "InvalidRange",
        "Md5Mismatch",
        "MissingContentLengthHeader",
    }
)
"""The codes of bytes lost or changed in one upload. A new upload begins with a new file."""
NO_LENGTH, OUT_OF_RANGE, NO_SPACE = 411, 416, 507
PASSING = frozenset({408, 429})
DISPLACED = frozenset({404, 409, 412})
"""Statuses of a repeated request, and of a temporary file removed by another process."""
AMBIGUOUS = DISPLACED | {408, 500, 502, 503, 504}
"""Statuses after which the work may have been done, by this request or an earlier one."""

_METADATA = "/metadata/identity/oauth2/token"
"""The token address of a virtual machine's managed identity."""
_CREDENTIAL_SETTINGS = (
    "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or the credential of AZURE_CREDENTIAL)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """The words of an error for what the failed request was to do, and for the remedy."""

    passing: str
    changed: str
    damaged: str
    again: str
    rejected: str
    then: str


WRITING = Purpose(
    passing="OneLake cannot accept the result at the moment",
    changed="The files of the result changed in OneLake",
    damaged="The result was damaged on its way to OneLake",
    again="The upload starts again.",
    rejected="OneLake rejected the result",
    then="retry the run",
)
READING = Purpose(
    passing="OneLake cannot return the file at the moment",
    changed="The file was removed or replaced in OneLake while it was read",
    damaged="The file was damaged on its way from OneLake",
    again="Read it again.",
    rejected="OneLake does not return the file",
    then="read the file again",
)


@contextmanager
def translated_errors(settings: Settings, purpose: Purpose = WRITING) -> Iterator[None]:
    """Raise the SDK's errors as ours, with secrets masked."""
    with with_masked_causes(settings):
        try:
            with response_errors():
                yield
        except AzureError as error:
            raise lake_error(error, settings, purpose) from error


def status_of(error: AzureError) -> int | None:
    """Return the response's status; None without a response."""
    return error.status_code if isinstance(error, HttpResponseError) else None


def is_silence(error: AzureError) -> bool:
    """Return True if there was no response: connection refused or lost, time-out, body cut off."""
    return status_of(error) is None


def may_have_worked(error: AzureError) -> bool:
    """Return True if only reading the lake can tell whether the request did its work."""
    return error_code(error) != AT_CAPACITY and (is_silence(error) or status_of(error) in AMBIGUOUS)


def lake_error(error: AzureError, settings: Settings, purpose: Purpose = WRITING) -> OrchestratorError:
    """Return a storage failure as one of our errors."""
    status = status_of(error)
    if status is None:
        return _unanswered(error, settings, "OneLake", "FABRIC_ACCOUNT_URL")
    response = _describe_response(error, status)
    return _temporary(error, status, response, purpose) or _permanent(error, status, response, purpose)


def _temporary(error: AzureError, status: int, response: str, purpose: Purpose) -> TransientError | None:
    if status in PASSING or status >= 500 or error_code(error) == AT_CAPACITY:
        return _passing(error, f"{purpose.passing}: {response}.", response_code("onelake", status))
    if status in DISPLACED:
        return _passing(error, f"{purpose.changed}: {response}. {purpose.again}", response_code("onelake", status))
    if _is_damaged(error, status):
        return _passing(error, f"{purpose.damaged}: {response}. {purpose.again}", ErrorCode.ONELAKE_DAMAGED)
    if PAUSED.search(error_code(error)):
        return _passing(
            error,
            f"The Fabric capacity of the workspace is paused: {response}. Resume it in the Azure portal, or assign the "
            "workspace to another one.",
            ErrorCode.ONELAKE_PAUSED,
        )
    return None


def _permanent(error: AzureError, status: int, response: str, purpose: Purpose) -> OrchestratorError:
    if status == 401:
        return ConfigurationError(
            f"OneLake rejected the token: {response}. Correct {_CREDENTIAL_SETTINGS}, then {purpose.then}."
        )
    if status == 403:
        return ConfigurationError(
            f"OneLake denied access: {response}. Give the application of AZURE_CLIENT_ID the Contributor "
            "role in the workspace of FABRIC_WORKSPACE_ID, and allow service principals in Fabric's "
            "tenant settings. If both are in place, check in the workspace's settings whether its capacity is paused. "
            f"Then {purpose.then}."
        )
    if error_code(error) == "InvalidHeaderValue":
        return ConfigurationError(
            f"OneLake rejected a request header: {response}. Check that FABRIC_ACCOUNT_URL is the address "
            "of OneLake, and update azure-storage-file-datalake."
        )
    return StorageError(f"{purpose.rejected}: {response}. Resolve the error, then {purpose.then}.")


def _is_damaged(error: AzureError, status: int) -> bool:
    """A 411 comes from a proxy and has no code of OneLake, because the SDK always sends a length."""
    code = error_code(error)
    return code in DAMAGED or status == OUT_OF_RANGE or (status == NO_LENGTH and not code)


def entra_error(error: AzureError, settings: Settings) -> OrchestratorError:
    """Return a token failure as one of our errors."""
    for cause in error_chain(error):
        if isinstance(cause, TransientError):
            return TransientError(cause.message, code=cause.code, retry_after=cause.retry_after)
        if isinstance(cause, ServiceRequestError | ServiceResponseError):
            return _unanswered(cause, settings, "Entra", "AZURE_AUTHORITY_HOST")
    return ConfigurationError(
        f"Entra issued no token for OneLake: {_first_line(error, settings)} Correct {_CREDENTIAL_SETTINGS}, then retry the run."
    )


def unreadable_file(error: OSError) -> ConfigurationError:
    """Return the error of a file that a credential requires, such as the token of a workload identity."""
    return ConfigurationError(
        f"A file that AZURE_CREDENTIAL requires cannot be read ({error.strerror}: {error.filename}). Correct "
        "AZURE_FEDERATED_TOKEN_FILE or the file's permissions, then retry the run."
    )


def token_passes(response: PipelineResponse[Any, Any], *, managed: bool) -> TransientError | None:
    """Return the transient failure in a token response, as azure-identity reports it like a wrong secret; None otherwise.

    A managed identity's endpoint responds 410 during updates, and 404 while it starts or an identity is new. In a
    chain of credentials (not `managed`) a 404 may come from another machine's endpoint, so it does not count.

    Source:
    https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling
    """
    answer = response.http_response
    status = answer.status_code
    is_metadata = _METADATA in response.http_request.url
    of_identity = (managed or is_metadata) and (status == 410 or (managed and status == 404))
    if status not in PASSING and status < 500 and not of_identity and not (status >= 400 and is_temporary(answer)):
        return None
    service = "The managed identity's endpoint" if managed or is_metadata else "Entra"
    return TransientError(
        f"{service} cannot issue a token at the moment ({status}).",
        code=response_code("identity" if managed or is_metadata else "entra", status),
        retry_after=retry_after(answer.headers.get("retry-after")),
    )


def missing_lakehouse(error: AzureError) -> ConfigurationError:
    """Return the error of a folder that cannot be created because its lakehouse is missing."""
    response = _describe_response(error, status_of(error) or 404)
    return ConfigurationError(
        f"The workspace or lakehouse does not exist in OneLake: {response}. Correct "
        "FABRIC_WORKSPACE_ID and FABRIC_LAKEHOUSE_ID: both names or both GUIDs; then retry the run."
    )


def missing_folder(error: AzureError, path: str) -> StorageError:
    """Return the error of a folder to read that is not there, or whose workspace or lakehouse is not."""
    response = _describe_response(error, status_of(error) or 404)
    return StorageError(
        f"{path} does not exist in OneLake: {response}. Correct its path, FABRIC_WORKSPACE_ID or FABRIC_LAKEHOUSE_ID."
    )


def _passing(error: AzureError, message: str, code: str) -> TransientError:
    if status_of(error) == NO_SPACE:
        code = ErrorCode.NO_SPACE
    if error_code(error) == AT_CAPACITY:
        code = ErrorCode.ONELAKE_AT_CAPACITY
    return TransientError(message, code=code, retry_after=retry_after(_header(error, "retry-after")))


def _unanswered(error: BaseException, settings: Settings, service: str, setting: str) -> OrchestratorError:
    if is_certificate_error(error):
        return ConfigurationError(
            f"The TLS certificate of {service} at {setting} cannot be verified. Set FABRIC_CA_FILE to the "
            "file of your certificate authority."
        )
    return TransientError(
        f"{service} did not respond ({masked(describe(error), settings.secrets)[:300]}).",
        code=ErrorCode.ENTRA_NO_ANSWER if service == "Entra" else ErrorCode.ONELAKE_NO_ANSWER,
    )


def _describe_response(error: AzureError, status: int) -> str:
    code, request = error_code(error) or "no error code", _header(error, "x-ms-request-id") or "none"
    return f"{status} {code}, request {request}"


def _header(error: AzureError, name: str) -> str:
    # Any, since the SDK's types of an answer do not agree on whether it has headers.
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    return "" if response is None else str(response.headers.get(name, ""))


def _first_line(error: BaseException, settings: Settings) -> str:
    text = str(error).strip().splitlines()[0:1]
    return masked(text[0][:300] if text else type(error).__name__, settings.secrets)
