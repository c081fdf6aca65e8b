"""``drive URL``: hooks on a bus, which then changes."""

import time
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from doh.models import Hook
from vehicles.models import Vehicle


class Command(BaseCommand):
    """Something to deliver."""

    help = "Register hooks on bus 55 that point to URL/1, URL/2 …, and save the bus."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How much of it."""
        parser.add_argument("url")
        parser.add_argument("--hooks", type=int, default=1, help="that many are there in the end")
        parser.add_argument("--saves", type=int, default=1)
        parser.add_argument("--every", type=float, default=0, help="seconds between two saves")

    def handle(self, *_: Any, url: str, hooks: int, saves: int, every: float, **__: Any) -> None:
        """Register what is missing, then save."""
        owner, _new = get_user_model().objects.get_or_create(username="ada")
        bus, _new = Vehicle.objects.get_or_create(type="bus", name="55")
        for number in range(Hook.objects.count(), hooks):
            target = f"{url.rstrip('/')}/{number + 1}"
            Hook.objects.create(user=owner, content_object=bus, target=target)
        for _turn in range(saves):
            bus.speed += 1
            bus.save()
            time.sleep(every)
        self.stdout.write(f"{saves} saves, {Hook.objects.count()} hooks")
