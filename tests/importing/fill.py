"""Make the real tables of both packages with their own migrations, and fill them by their models.

Run as a process of its own: their models must not become part of the tests' project.
"""

import os
from unittest import mock

import django
import django.dispatch
from django.core.management import call_command
from django.db import OperationalError
from django.db.models import QuerySet

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.importing.settings"


class _Signal(django.dispatch.Signal):
    """As Django had it up to 3.2: django-rest-hooks 1.5 names its signals' arguments."""

    def __init__(self, providing_args: object = None, use_caching: bool = False) -> None:
        super().__init__(use_caching=use_caching)


def _no_table(_rows: QuerySet) -> int:
    """django-webhook 0.0.15 looks for its tables when it starts, and fails without on MySQL."""
    raise OperationalError("no such table")


def main() -> None:
    django.dispatch.Signal = _Signal
    with mock.patch.object(QuerySet, "count", _no_table):
        django.setup()
    call_command("migrate", verbosity=0)
    _fill_rest_hooks()
    _fill_django_webhook()


def _fill_rest_hooks() -> None:
    from django.contrib.auth import get_user_model
    from rest_hooks.models import Hook

    ada, eve = (get_user_model().objects.create(username=name) for name in ("ada", "eve"))
    for event, target in (
        ("vehicle.added", "https://example.com/added"),
        ("vehicle.changed", "https://example.com/changed"),
        ("vehicle.changed", "https://example.com/changed"),
        ("vehicle.crashed", "https://example.com/crashed"),
        ("depot.gone", "https://example.com/gone"),
        ("lost.changed", "https://example.com/lost"),
        ("user.logged_in", "https://example.com/login"),
        ("forgotten", "https://example.com/forgotten"),
        ("vehicle.added", "ftp://example.com/"),
    ):
        Hook.objects.create(user=ada, event=event, target=target)
    Hook.objects.create(user=eve, event="vehicle.added", target="https://example.com/eve")


def _fill_django_webhook() -> None:
    from django_webhook.models import (
        Webhook,
        WebhookSecret,
        WebhookTopic,
        populate_topics_from_settings,
    )

    populate_topics_from_settings()
    first = Webhook.objects.create(url="https://example.com/first")
    first.topics.set(WebhookTopic.objects.filter(name__startswith="app.Vehicle/"))
    for token in ("an old token that was rotated", "the token that is in use now"):
        WebhookSecret.objects.create(webhook=first, token=token)
    second = Webhook.objects.create(url="https://example.com/second", active=False)
    WebhookSecret.objects.create(webhook=second, token="a short one")
    second.topics.set(WebhookTopic.objects.filter(name="app.Depot/delete"))
    Webhook.objects.create(url="https://example.com/third")


if __name__ == "__main__":
    main()
