"""``manage.py doh_import``: take over the hooks of django-rest-hooks or django-webhook."""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from doh import conf
from doh.importing import Foreign, Skipped, Tally, django_webhook, rest_hooks, take_over
from doh.importing.foreign import NoTableError
from doh.journal import ledger_alias

#: Names that are printed for one reason.
_NAMED = 5


class Command(BaseCommand):
    """Take over the hooks of another package."""

    help = (
        "Take over the hooks of another package from its tables, which stay as they are; the"
        " package need not be installed. Running it again imports only what is new."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare one subcommand per package."""
        packages = parser.add_subparsers(dest="package", required=True, metavar="PACKAGE")
        old = packages.add_parser("rest-hooks", help="django-rest-hooks, with its HOOK_EVENTS")
        old.add_argument("--table", default=rest_hooks.TABLE, help="Of your own HOOK_CUSTOM_MODEL.")
        old.add_argument(
            "--all-objects",
            action="store_true",
            help="Import events without a '+' too, which were told to an object's owner only.",
        )
        webhook = packages.add_parser("django-webhook", help="django-webhook")
        webhook.add_argument("--user", required=True, help="Login name of the hooks' owner.")
        for one in (old, webhook):
            one.add_argument("--dry-run", action="store_true", help="Write nothing.")
            one.add_argument(
                "--database", default=DEFAULT_DB_ALIAS, help="Alias of where its tables are."
            )

    def handle(self, *_: Any, **options: Any) -> None:
        """Import chunk by chunk, and say what came of it."""
        tally, read = Tally(), 0
        try:
            for chunk in _source(options):
                take_over(chunk, tally, dry_run=options["dry_run"])
                read += len(chunk)
                if options["verbosity"] > 0:
                    self.stdout.write(f"{read:,} read, {tally.imported:,} imported")
        except NoTableError as error:
            raise CommandError(f"{error} Name another with --database or --table.") from error
        for line in _summary(tally, options["dry_run"]):
            self.stdout.write(line)


def _source(options: dict[str, Any]) -> Iterable[list[Foreign | Skipped]]:
    alias = options["database"]
    if options["package"] == "django-webhook":
        return django_webhook.read(alias, _user(options["user"]))
    return rest_hooks.read(
        alias, options["table"], conf.rest_hooks_events(), options["all_objects"]
    )


def _user(name: str) -> Any:
    model = get_user_model()
    found = model._base_manager.using(ledger_alias()).filter(**{model.USERNAME_FIELD: name})
    key = found.values_list("pk", flat=True).first()
    if key is None:
        raise CommandError(f"There is no user {name!r}: --user takes the login name of one.")
    return key


def _summary(tally: Tally, dry_run: bool) -> Iterator[str]:
    skipped = sum(map(len, tally.skipped.values()))
    done = "would be imported" if dry_run else "imported"
    yield (f"{tally.imported:,} {done}, {tally.present:,} were there already, {skipped:,} skipped.")
    for why, names in tally.skipped.items():
        yield f"  skipped: {why} ({_some(names)})"
    if tally.fresh:
        yield f"  a fresh secret, since the token has not 24 to 64 bytes ({_some(tally.fresh)})"
    allowed = {label.lower() for label in conf.allowed_models()}
    missing = sorted(label for label in tally.labels if label.lower() not in allowed)
    if missing:
        yield f"Their saves are no events yet: add to HOOK_ALLOWED_MODELS {', '.join(missing)}."


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return "; ".join(names[:_NAMED]) + more
