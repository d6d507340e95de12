"""The health of the product over HTTP, for a load balancer's or an orchestrator's probe."""

from __future__ import annotations

import dataclasses

from django.db import Error
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from report_orchestrator.conf import get_settings
from report_orchestrator.exceptions import ConfigurationError
from report_orchestrator.services.approaches import in_force
from report_orchestrator.services.health import Finding, examine
from report_orchestrator.wiring import get_ports


@never_cache
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 while work is being done, 503 otherwise; the findings as JSON. It names no report, and needs no login."""
    try:
        findings = _findings()
    except (Error, ConfigurationError) as error:
        told = f"{type(error).__name__}: look at the log of the process that answers this"
        return JsonResponse({"healthy": False, "findings": [], "error": told}, status=503)
    well = all(finding.well for finding in findings)
    body = {"healthy": well, "findings": [dataclasses.asdict(finding) for finding in findings]}
    return JsonResponse(body, status=200 if well else 503)


def _findings() -> list[Finding]:
    return examine(ports=get_ports(), settings=in_force(get_settings()))
