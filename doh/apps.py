"""The Django app."""

import logging

from django.apps import AppConfig
from django.db import DatabaseError
from django.db.models.signals import post_migrate

logger = logging.getLogger(__name__)


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
        post_migrate.connect(_create_functions, sender=self)


def _create_functions(using: str, **_: object) -> None:
    """Create the journal's functions beside its tables; it works without."""
    from doh.journal import get_journal, ledger_alias

    if using != ledger_alias():
        return
    try:
        get_journal().create_functions()
    except DatabaseError as error:
        logger.warning(
            "The journal's functions were not created, a save takes longer: %s. Who migrates needs"
            " CREATE on the schema and USAGE on the language plpgsql: grant them and migrate again",
            error,
        )
