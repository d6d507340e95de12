"""The host's addresses with those of grappelli, which its pages look up."""

from __future__ import annotations

from django.urls import include, path

from tests.host.urls import urlpatterns as hosts

urlpatterns = [path("grappelli/", include("grappelli.urls")), *hosts]
