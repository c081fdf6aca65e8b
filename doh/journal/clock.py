"""The database's clock: leases and due times never depend on a worker's."""

from datetime import UTC, datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Func
from django.utils import timezone

_QUERIES = {
    "postgresql": "SELECT clock_timestamp()",
    # NOW() is the session's zone there, while Django stores UTC.
    "mysql": "SELECT UTC_TIMESTAMP(6)",
}


def database_now(connection: BaseDatabaseWrapper) -> datetime:
    """The database's time; SQLite has no other clock than its process."""
    query = _QUERIES.get(connection.vendor)
    if query is None:
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(query)
        moment: datetime = cursor.fetchone()[0]
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class DatabaseNow(Func):
    """The database's time inside a statement, to the microsecond."""

    template = "CURRENT_TIMESTAMP"
    output_field: Any = DateTimeField()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """The moment of the statement: CURRENT_TIMESTAMP is that of the transaction's start."""
        return self.as_sql(compiler, connection, template="STATEMENT_TIMESTAMP()", **extra)

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """UTC, whatever the session's zone is."""
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """In the format that Django stores, to the millisecond."""
        template = "STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW')"
        return self.as_sql(compiler, connection, template=template, **extra)
