"""How many files this process may have open, and so how many POSTs it may have in the air."""

import logging
import resource
from contextlib import suppress
from typing import Final

logger = logging.getLogger(__name__)

#: Files for everything else: the database, Redis, the pool's pipes, logs, look-ups of names.
SPARE: Final = 100


def fitting(wanted: int) -> int:
    """How many POSTs may be in the air, at most so many; the soft limit is raised for them.

    Each needs a connection, and as many may be kept warm beside them. Without a file for its own
    database connection, a worker could not write down what it has sent.
    """
    needed = 2 * wanted + SPARE
    allowed = _raise_to(needed)
    found = min(wanted, max(1, (allowed - SPARE) // 2))
    if found < wanted:
        logger.warning(
            "This process may open %d files, too few for HOOK_MAX_IN_FLIGHT = %d: it sends %d at"
            " once. Raise the limit (LimitNOFILE, ulimit -n) to %d.",
            allowed, wanted, found, needed,
        )  # fmt: skip
    return found


def _raise_to(needed: int) -> int:
    """Raise the soft limit that far, or as far as the hard one allows; returns what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return needed
    if soft < needed:
        higher = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):  # Some systems know another bound as well.
            resource.setrlimit(resource.RLIMIT_NOFILE, (higher, hard))
            return higher
    return soft
