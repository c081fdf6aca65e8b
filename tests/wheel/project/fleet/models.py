from django.contrib.auth.models import AbstractUser
from django.db import models
from django.forms import model_to_dict


class Driver(AbstractUser):
    badge = models.UUIDField(null=True)


class Vehicle(models.Model):
    type = models.CharField(max_length=20)
    name = models.CharField(max_length=20)
    bought = models.DateField(auto_now_add=True)

    def get_static_payload(self):
        return model_to_dict(self)
