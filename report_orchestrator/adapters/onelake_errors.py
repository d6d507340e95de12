"""What OneLake and Entra answer when they do not do as asked, in the words of `report_orchestrator.exceptions`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline import PipelineResponse

from report_orchestrator.adapters.fireant import retry_after
from report_orchestrator.adapters.network_words import causes, in_words, is_distrust
from report_orchestrator.adapters.vendor_errors import told
from report_orchestrator.conf import Settings
from report_orchestrator.exceptions import ConfigurationError, OrchestratorError, StorageError, TransientError

AT_CAPACITY = "CapacityLimitExceeded"
DAMAGED = "Md5Mismatch"
NO_SPACE = 507
PASSING = frozenset({408, 429})
DISPLACED = frozenset({404, 409, 412})
"""What a request that is sent for the second time gets; and what is left of an attempt that somebody else has swept away."""
AMBIGUOUS = DISPLACED | {408, 500, 502, 503, 504}
"""Statuses after which the work may have been done all the same, by this request or by an earlier one."""

_METADATA = "/metadata/identity/oauth2/token"
"""Where a virtual machine's managed identity is asked for a token."""
_WHO = "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or what AZURE_CREDENTIAL names)"


@contextmanager
def plain_errors(settings: Settings) -> Iterator[None]:
    """Raises what the lake's SDK raises as one of ours, secrets masked."""
    try:
        yield
    except AzureError as error:
        raise lake_error(error, settings) from told(error, settings)
    except OrchestratorError as error:
        if isinstance(error.__cause__, AzureError):
            raise error from told(error.__cause__, settings)
        raise


def status_of(error: AzureError) -> int | None:
    """The status of the answer, or None where none came."""
    return error.status_code if isinstance(error, HttpResponseError) else None


def is_silence(error: AzureError) -> bool:
    """Whether the lake said nothing at all: a refused or lost connection, a time-out, a body that broke off."""
    return status_of(error) is None


def may_have_worked(error: AzureError) -> bool:
    """Whether only a look at the lake can tell if the request did its work."""
    return error_code(error) != AT_CAPACITY and (is_silence(error) or status_of(error) in AMBIGUOUS)


def error_code(error: AzureError) -> str:
    """OneLake's own word for it, or an empty text."""
    return _header(error, "x-ms-error-code")


def lake_error(error: AzureError, settings: Settings) -> OrchestratorError:
    """An error of the lake as one of ours."""
    status = status_of(error)
    if status is None:
        return _unanswered(error, settings, "OneLake", "FABRIC_ACCOUNT_URL")
    said = _said(error, status)
    if status in PASSING or status >= 500 or error_code(error) == AT_CAPACITY:
        return _passing(error, f"OneLake cannot take the result now: {said}.", f"onelake_{status}")
    if status in DISPLACED:
        return _passing(
            error, f"OneLake found the result's files changed: {said}. It starts anew.", f"onelake_{status}"
        )
    if error_code(error) == DAMAGED:
        return _passing(error, f"The result was damaged on its way to OneLake: {said}.", "onelake_damaged")
    if status == 401:
        return ConfigurationError(f"OneLake refused the token: {said}. Correct {_WHO}, then retry the run.")
    if status == 403:
        return ConfigurationError(
            f"OneLake refused access: {said}. Give the application of AZURE_CLIENT_ID the Contributor role in the workspace of "
            "FABRIC_WORKSPACE_ID, and let Fabric's tenant settings admit service principals; then retry the run."
        )
    if error_code(error) == "InvalidHeaderValue":
        return ConfigurationError(
            f"OneLake refused a header: {said}. Check that FABRIC_ACCOUNT_URL is OneLake's address and that the installed "
            "azure-storage-file-datalake speaks a version that it knows."
        )
    return StorageError(f"OneLake refused the result: {said}. A person must look; then retry the run.")


def entra_error(error: AzureError, settings: Settings) -> OrchestratorError:
    """An error on the way to a token as one of ours."""
    for cause in causes(error):
        if isinstance(cause, TransientError):
            return TransientError(cause.message, code=cause.code, retry_after=cause.retry_after)
        if isinstance(cause, ServiceRequestError | ServiceResponseError):
            return _unanswered(cause, settings, "Entra", "AZURE_AUTHORITY_HOST")
    return ConfigurationError(
        f"Entra gave no token for OneLake: {_first_line(error, settings)} Correct {_WHO}, then retry the run."
    )


def token_passes(response: PipelineResponse[Any, Any], *, managed: bool) -> TransientError | None:
    """What may pass of an answer to the question for a token, which azure-identity does not tell from a wrong secret.

    A managed identity's endpoint says 410 while it is updated, and 404 while it is found or an identity is new. In a chain of
    credentials (not `managed`) a 404 may be another machine's, so it does not count there.
    Source: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling
    """
    answer = response.http_response
    status = answer.status_code
    is_metadata = _METADATA in response.http_request.url
    of_identity = (managed or is_metadata) and (status == 410 or (managed and status == 404))
    if status not in PASSING and status < 500 and not of_identity:
        return None
    who = "The managed identity's endpoint" if managed or is_metadata else "Entra"
    return TransientError(
        f"{who} cannot give a token now ({status}).",
        code=f"{'identity' if managed or is_metadata else 'entra'}_{status}",
        retry_after=retry_after(answer.headers.get("retry-after")),
    )


def missing_lakehouse(error: AzureError) -> ConfigurationError:
    """What a folder that cannot be made because nothing is above it says."""
    said = _said(error, status_of(error) or 404)
    return ConfigurationError(
        f"OneLake has no such workspace or lakehouse: {said}. Correct FABRIC_WORKSPACE_ID and FABRIC_LAKEHOUSE_ID: both names "
        "or both GUIDs; then retry the run."
    )


def _passing(error: AzureError, message: str, code: str) -> TransientError:
    if status_of(error) == NO_SPACE:
        code = "no_space"
    if error_code(error) == AT_CAPACITY:
        code = "onelake_at_capacity"
    return TransientError(message, code=code, retry_after=retry_after(_header(error, "retry-after")))


def _unanswered(error: BaseException, settings: Settings, who: str, setting: str) -> OrchestratorError:
    if is_distrust(error):
        return ConfigurationError(
            f"The certificate of {who} at {setting} cannot be verified. Name your certificate authority's file in FABRIC_CA_FILE."
        )
    return TransientError(
        f"{who} gave no answer ({settings.masked(in_words(error))[:300]}).", code=f"{who.lower()}_no_answer"
    )


def _said(error: AzureError, status: int) -> str:
    code, request = error_code(error) or "no error code", _header(error, "x-ms-request-id") or "none"
    return f"{status} {code}, request {request}"


def _header(error: AzureError, name: str) -> str:
    # Any, since the SDK's types of an answer do not agree on whether it has headers.
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    return "" if response is None else str(response.headers.get(name, ""))


def _first_line(error: BaseException, settings: Settings) -> str:
    text = str(error).strip().splitlines()[0:1]
    return settings.masked(text[0][:300] if text else type(error).__name__)
