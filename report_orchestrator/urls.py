"""To be included where a host likes: `path("orchestrator/", include("report_orchestrator.urls"))`."""

from django.urls import path

from report_orchestrator.views import health

app_name = "report_orchestrator"
urlpatterns = [path("health/", health, name="health")]
