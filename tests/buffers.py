"""What statements touch of PostgreSQL's tables: a count, which is the same on every machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction


@dataclass(slots=True)
class Touched:
    """What some statements cost: buffers of 8 kB that they looked at, and milliseconds."""

    buffers: int = 0
    milliseconds: float = 0.0
    plans: list[tuple[str, int]] = field(default_factory=list)


@contextmanager
def explained() -> Iterator[Touched]:
    """Count what the statements inside touch; everything they do is rolled back."""
    touched = Touched()
    busy = False

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal busy
        plain = sql.lstrip(" (\n").split(" ")[0] in ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")
        if not busy and plain and not many:
            busy = True
            _explain(sql, params, touched)
            busy = False
        return execute(sql, params, many, context)

    with transaction.atomic():
        with connection.execute_wrapper(explain):
            yield touched
        transaction.set_rollback(True)


def _explain(sql: str, params: Any, touched: Touched) -> None:
    place = transaction.savepoint()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
        found = cursor.fetchone()[0]
    transaction.savepoint_rollback(place)
    (plan,) = json.loads(found) if isinstance(found, str) else found
    number = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    touched.buffers += number
    touched.milliseconds += plan["Execution Time"]
    touched.plans.append((sql, number))
