"""URLs for the host to include: `path("orchestrator/", include("report_orchestrator.urls"))`."""

from django.urls import path

from report_orchestrator.views import health

app_name = "report_orchestrator"
urlpatterns = [
    path("health/", health, name="health"),
    path("health", health),  # a probe without the slash gets an answer, not a redirect
]
