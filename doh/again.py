"""Run a transaction again when the database asks for that."""

import random
import re
import time
from collections.abc import Callable
from functools import wraps
from itertools import count
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from django.db import OperationalError, connections

P = ParamSpec("P")
R = TypeVar("R")

#: A conflict is given up after so many attempts, and not before so many seconds: on SQLite, where
#: one writer locks the whole file, a crowd needs both.
ATTEMPTS = 8
PATIENCE = 5.0
#: Seconds before the second attempt, and the most before any.
_PAUSE = 0.02
_LONGEST_PAUSE = 0.2
_SQLITE_BUSY = re.compile("database (table )?is locked")
#: Serialization failure and deadlock of PostgreSQL (SQLSTATE); deadlock, lock wait timeout and
#: changed record of MySQL and MariaDB.
_PASSING = {"40001", "40P01", 1213, 1205, 1020}


class HasAlias(Protocol):
    """Anything that works on one database."""

    @property
    def alias(self) -> str: ...


Self = TypeVar("Self", bound=HasAlias)


def is_passing(error: OperationalError) -> bool:
    """Whether the same transaction may well succeed if it is run again."""
    cause = error.__cause__
    codes = {getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None), *error.args[:1]}
    return bool(codes & _PASSING) or _SQLITE_BUSY.search(str(error)) is not None


def again(
    method: Callable[Concatenate[Self, P], R],
) -> Callable[Concatenate[Self, P], R]:
    """Make a method that is one whole transaction one that is run again, as `insist` does."""

    @wraps(method)
    def run(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return insist(self.alias, lambda: method(self, *args, **kwargs))

    return run


def insist(alias: str, transaction: Callable[[], R]) -> R:
    """Run one whole transaction, and again after each passing conflict, from memory.

    Inside somebody else's transaction it runs once: only its owner can run that again.
    """
    began = time.monotonic()
    for attempt in count(1):
        try:
            return transaction()
        except OperationalError as error:
            nested = connections[alias].in_atomic_block
            spent = attempt >= ATTEMPTS and time.monotonic() - began >= PATIENCE
            if nested or spent or not is_passing(error):
                raise
            pause = min(_PAUSE * attempt, _LONGEST_PAUSE)
            time.sleep(pause * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")
