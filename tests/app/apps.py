"""The app of the project that the tests run in."""

from django.apps import AppConfig


class TestsAppConfig(AppConfig):
    """Vehicles and parcels."""

    name = "tests.app"
    label = "app"
