"""Models with every kind of payload and key."""

from uuid import uuid4

from django.db import models
from django.forms import model_to_dict


class Vehicle(models.Model):
    """No payload method."""

    type = models.CharField(max_length=20, default="bus")
    name = models.CharField(max_length=20)


class Tram(Vehicle):
    """A proxy."""

    class Meta:
        proxy = True


class Depot(models.Model):
    """A static payload and a UUID key."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=20)
    opened = models.DateField(null=True)
    area = models.DecimalField(max_digits=8, decimal_places=2, null=True)

    def get_static_payload(self):
        return model_to_dict(self) | {"id": self.id}


class Parcel(models.Model):
    """A dynamic payload and a key of text."""

    code = models.CharField(primary_key=True, max_length=40)
    state = models.CharField(max_length=20, default="new")
    weight = models.DecimalField(max_digits=6, decimal_places=2, null=True)
    seen = models.DateTimeField(null=True)
    tags = models.JSONField(default=list)

    def get_dynamic_payload(self, hook):
        return {
            "code": self.code,
            "state": self.state,
            "weight": self.weight,
            "tags": self.tags,
            "action": hook.action,
            "hook": hook.pk,
        }


class Everything(models.Model):
    """A field of every kind that ``model_to_dict`` may meet."""

    big = models.BigIntegerField(default=2**62)
    blob = models.BinaryField(default=b"\x00\xff")
    day = models.DateField(null=True)
    document = models.FileField(blank=True)
    duration = models.DurationField(null=True)
    moment = models.DateTimeField(null=True)
    number = models.FloatField(default=1.5)
    price = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    time = models.TimeField(null=True)
    uid = models.UUIDField(default=uuid4)
    vehicles = models.ManyToManyField(Vehicle)
    depot = models.ForeignKey(Depot, null=True, on_delete=models.SET_NULL)

    def get_static_payload(self, hook):
        assert hook is None
        return model_to_dict(self)


class Unlisted(models.Model):
    """Not among the allowed models."""

    name = models.CharField(max_length=20)


class Remote(models.Model):
    """Lives in another database."""

    name = models.CharField(max_length=20)
