"""The database's clock: leases and due times never depend on a worker's.

Moments are as Django stores them: aware, or naive in ``TIME_ZONE`` where ``USE_TZ`` is off.
"""

import time
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Func, Value
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
    if settings.USE_TZ:
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if connection.vendor == "mysql":
        return timezone.make_naive(moment.replace(tzinfo=UTC), timezone.get_default_timezone())
    return moment


def drift_from(now: datetime) -> float:
    """Seconds that this process's clock is behind the database's, which has just said ``now``."""
    return now.timestamp() - time.time()


class DatabaseNow(Func):
    """The database's time inside a statement, to the microsecond."""

    template = "CURRENT_TIMESTAMP"
    output_field: Any = DateTimeField()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """The moment of the statement: CURRENT_TIMESTAMP is that of the transaction's start."""
        return self.as_sql(compiler, connection, template="STATEMENT_TIMESTAMP()", **extra)

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """UTC, whatever the session's zone is; local time is only known to the process."""
        if not settings.USE_TZ:
            return self._as_value(compiler, connection)
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """In the format that Django stores, to the millisecond."""
        if not settings.USE_TZ:
            return self._as_value(compiler, connection)
        template = "STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f', 'NOW')"
        return self.as_sql(compiler, connection, template=template, **extra)

    def _as_value(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        return compiler.compile(Value(database_now(connection), output_field=DateTimeField()))
