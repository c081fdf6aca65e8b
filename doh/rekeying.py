"""Write everything that is encrypted again, under the newest key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models, transaction

from doh.exceptions import SecretUnreadableError
from doh.fields import EncryptedTextField, is_newest, reencrypt, stored
from doh.journal import ledger_alias

#: Rows that one transaction looks at.
STEP = 500


@dataclass(frozen=True, slots=True)
class Column:
    """An encrypted column of one of the package's tables."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.object_name}.{self.name}"

    def count(self) -> int:
        """How many values it holds."""
        return self.rows().count()

    def tokens(self, after: int, size: int) -> list[tuple[int, str]]:
        """The next values as they are stored, with their keys, in the order of these."""
        rows = self.rows().filter(pk__gt=after).order_by("pk")
        return list(rows.values_list("pk", stored(self.name))[:size])

    def rows(self) -> "models.QuerySet[models.Model]":
        """The rows that have a value."""
        rows = self.model._base_manager.using(ledger_alias())
        return rows.exclude(**{f"{self.name}__isnull": True})


@dataclass(frozen=True, slots=True)
class Step:
    """What became of some values: all those looked at, those written anew, those no key opens."""

    seen: int
    written: int
    unreadable: tuple[int, ...]


def encrypted_columns() -> list[Column]:
    """Every encrypted column of the package's models."""
    return [
        Column(model, field.name)
        for model in apps.get_app_config("doh").get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedTextField)
    ]


def rekey(column: Column, size: int = STEP) -> Iterator[Step]:
    """Re-encrypt a column in transactions of so many rows.

    What is under the newest key already is left alone, so a run that was cut short goes on where
    it ended, and a second one writes nothing. A value that somebody else changes meanwhile is
    left to them.
    """
    after = 0
    while found := column.tokens(after, size):
        after = found[-1][0]
        # The tokens were read before: a transaction that begins with a write waits for its turn.
        with transaction.atomic(using=ledger_alias()):
            step = _step(column, found)
        yield step


def _step(column: Column, found: list[tuple[int, str]]) -> Step:
    written = 0
    unreadable = []
    for pk, token in found:
        if is_newest(token):
            continue
        try:
            fresh = reencrypt(token)
        except SecretUnreadableError:
            unreadable.append(pk)
            continue
        written += _replace(column, pk, token, fresh)
    return Step(len(found), written, tuple(unreadable))


def _replace(column: Column, pk: int, token: str, fresh: str) -> int:
    """Put a new token in the place of the one that was read, and of no other."""
    rows: Any = column.rows().filter(pk=pk).annotate(token_read=stored(column.name))
    value = models.Value(fresh, output_field=models.TextField())
    replaced: int = rows.filter(token_read=token).update(**{column.name: value})
    return replaced
