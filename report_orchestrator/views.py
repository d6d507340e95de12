"""Health over HTTP, for the probes of a load balancer or an orchestrator: 200 or 503, whatever happens."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from functools import reduce

from django.contrib.auth.decorators import login_not_required
from django.db import Error, connections, transaction
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.services.monitoring.findings import Finding, check_health, check_liveness
from report_orchestrator.wiring import get_runtime

View = Callable[[HttpRequest], HttpResponseBase]

logger = logging.getLogger("report_orchestrator.health")


def _probe(view: View) -> View:
    """Let a view answer GET and HEAD without login, cache or transaction, on every database."""
    without_transactions = reduce(lambda inner, alias: transaction.non_atomic_requests(alias)(inner), connections, view)
    return login_not_required(never_cache(require_safe(without_transactions)))


@_probe
def health(request: HttpRequest) -> JsonResponse:
    """Return 200 while work is being done and 503 otherwise, with the findings. It names no report and needs no login."""
    try:
        return _answer(check_health(runtime=get_runtime()))
    except Exception as error:  # noqa: BLE001 - a probe gets an answer, and the error is logged
        return _unknown(error, status=503)


@_probe
def live(request: HttpRequest) -> JsonResponse:
    """Return 503 only if a restart of the cluster would help; it does not help a database that cannot be used."""
    try:
        return _answer(check_liveness(runtime=get_runtime()))
    except Error as error:
        return _unknown(error, status=200)
    except Exception as error:  # noqa: BLE001 - a probe gets an answer, and the error is logged
        return _unknown(error, status=503)


def _answer(findings: Sequence[Finding]) -> JsonResponse:
    healthy = all(finding.well for finding in findings)
    body = {"healthy": healthy, "findings": [dataclasses.asdict(finding) for finding in findings]}
    return JsonResponse(body, status=200 if healthy else 503)


def _unknown(error: Exception, *, status: int) -> JsonResponse:
    if not isinstance(error, Error | ConfigurationError):
        logger.error("health could not be checked", exc_info=error)
    message = f"{type(error).__name__}: see the log of the web process"
    return JsonResponse({"healthy": status == 200, "findings": [], "error": message}, status=status)
