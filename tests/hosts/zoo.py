"""A field of every type."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.functions import Upper

from tests.hosts.base import Event, EventGroup, Host
from tests.hosts.relations import GenericEvent


class Zoo(Host):
    text = models.TextField()
    char = models.CharField(max_length=10, choices=[("a", "A")])
    url = models.URLField()
    integer = models.IntegerField()
    big = models.BigIntegerField()
    small = models.PositiveSmallIntegerField()
    floating = models.FloatField()
    decimal = models.DecimalField(max_digits=9, decimal_places=2)
    flag = models.BooleanField(null=True)
    day = models.DateField()
    instant = models.DateTimeField()
    clock = models.TimeField()
    duration = models.DurationField()
    uuid = models.UUIDField()
    json = models.JSONField()
    binary = models.BinaryField()
    file = models.FileField()
    ip = models.GenericIPAddressField()
    generated = models.GeneratedField(
        expression=Upper("char"), output_field=models.CharField(max_length=10), db_persist=True
    )
    foreign = models.ForeignKey(EventGroup, on_delete=models.CASCADE, related_name="+")
    single = models.OneToOneField(EventGroup, on_delete=models.CASCADE, related_name="+")
    many = models.ManyToManyField(Event, related_name="+")
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE, related_name="+")
    object_id = models.BigIntegerField()
    generic = GenericForeignKey()
    generics = GenericRelation(GenericEvent)

    @property
    def is_valid(self) -> bool:
        return False


class ZooKeeper(Host):
    """Adds the other ends of relations to the zoo."""

    zoo = models.ForeignKey(Zoo, on_delete=models.CASCADE, related_name="back_many")
    one_zoo = models.OneToOneField(Zoo, on_delete=models.CASCADE, related_name="back_single")
    zoos = models.ManyToManyField(Zoo, related_name="back_crowd")
