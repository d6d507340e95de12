"""URLs for the host to include: `path("orchestrator/", include("report_orchestrator.urls"))`."""

from django.urls import path

from report_orchestrator.views import health, live

app_name = "report_orchestrator"
urlpatterns = [
    path("health/", health, name="health"),
    path("health/live/", live, name="live"),
    path("health/ready/", health, name="ready"),
    # A probe without the slash gets an answer, not a redirect.
    path("health", health),
    path("health/live", live),
    path("health/ready", health),
]
