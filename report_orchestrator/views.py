"""Health over HTTP, for the probe of a load balancer or an orchestrator."""

import dataclasses

from django.contrib.auth.decorators import login_not_required
from django.db import Error, transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.services.monitoring.findings import check_health
from report_orchestrator.wiring import get_runtime


@login_not_required
@transaction.non_atomic_requests
@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Return 200 while work is being done and 503 otherwise, with the findings. It names no report and needs no login."""
    try:
        findings = check_health(runtime=get_runtime())
    except (Error, ConfigurationError) as error:
        message = f"{type(error).__name__}: see the log of the web process"
        return JsonResponse({"healthy": False, "findings": [], "error": message}, status=503)
    healthy = all(finding.well for finding in findings)
    body = {"healthy": healthy, "findings": [dataclasses.asdict(finding) for finding in findings]}
    return JsonResponse(body, status=200 if healthy else 503)
