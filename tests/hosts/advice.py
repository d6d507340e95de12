"""A report whose fields have other names than ours, but can be guessed."""

from django.db import models

from tests.hosts.base import EventGroup, Host


class Planned(Host):
    title = models.CharField(max_length=200)
    schedule_text = models.CharField(max_length=100)
    schedule_count = models.IntegerField(default=0)
    is_active = models.BooleanField(default=True)
    last_modified = models.DateTimeField(auto_now=True)
    scope = models.ForeignKey(EventGroup, on_delete=models.CASCADE, related_name="+")
