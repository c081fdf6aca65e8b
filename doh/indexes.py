"""Indexes over the few rows that matter among millions, wherever the database can do that."""

from abc import ABC, abstractmethod
from typing import Any

from django.db import models


class _PartialIndex(models.Index, ABC):
    """Leaves most rows out. Django's own ``condition`` warns on every MySQL and MariaDB project.

    Those have no partial indexes: there this one covers every row instead.
    """

    def _get_condition_sql(self, model: type[models.Model], schema_editor: Any) -> str | None:
        if not schema_editor.connection.features.supports_partial_indexes:
            return None
        field: Any = model._meta.get_field(self.fields[0])
        return f"{schema_editor.quote_name(field.column)} {self._test(schema_editor)}"

    @abstractmethod
    def _test(self, schema_editor: Any) -> str:
        """The SQL that the first column must meet."""


class NotNullIndex(_PartialIndex):
    """Index the rows whose first column is not null: the ledger's due rows are a handful."""

    def _test(self, schema_editor: Any) -> str:  # noqa: ARG002
        return "IS NOT NULL"


class ValueIndex(_PartialIndex):
    """Index the rows whose first column has one value."""

    def __init__(self, *, value: str, **kwargs: Any) -> None:
        self.value = value
        super().__init__(**kwargs)

    def deconstruct(self) -> Any:
        """As Django asks for it."""
        path, expressions, kwargs = super().deconstruct()
        return path, expressions, kwargs | {"value": self.value}

    def _test(self, schema_editor: Any) -> str:
        return f"= {schema_editor.quote_value(self.value)}"
