"""An index over the few rows whose column is not null, wherever the database can do that."""

from typing import Any

from django.db import models


class NotNullIndex(models.Index):
    """Index one nullable column, leaving the nulls out.

    The ledger's due rows are a handful among millions. Django skips a conditional index where
    the database has none (MySQL, MariaDB); there this one covers every row instead.
    """

    def _get_condition_sql(self, model: type[models.Model], schema_editor: Any) -> str | None:
        if not schema_editor.connection.features.supports_partial_indexes:
            return None
        field: Any = model._meta.get_field(self.fields[0])
        return f"{schema_editor.quote_name(field.column)} IS NOT NULL"
