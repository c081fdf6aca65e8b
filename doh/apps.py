"""The Django app."""

from django.apps import AppConfig


class DohConfig(AppConfig):
    """Object hooks."""

    name = "doh"
    verbose_name = "Object hooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to the models and register the checks."""
        from doh import checks, receivers

        receivers.connect()
        checks.register()
