"""A vehicle, and what the result hooks remarked."""

from typing import Any

from django.db import models
from django.forms import model_to_dict


class Vehicle(models.Model):
    """Something that drives."""

    type = models.CharField(max_length=20)
    name = models.CharField(max_length=20)
    speed = models.DecimalField("km/h", max_digits=5, decimal_places=1, default=0)

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    def get_static_payload(self) -> dict[str, Any]:
        """The same for every hook."""
        return model_to_dict(self)


class Remark(models.Model):
    """Written by ``after_deliver``, in a worker process."""

    kind = models.CharField(max_length=20)
    text = models.CharField(max_length=200)

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"
