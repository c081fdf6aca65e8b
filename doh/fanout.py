"""Fan events out: from claimed events to batches, slice by slice."""

from collections.abc import Iterator, Sequence
from typing import Final

from doh import conf
from doh.journal import EventClaim, Journal, Ring

_FIRST_SLICE: Final = 2_000


def fan_out(journal: Journal, claims: Sequence[EventClaim]) -> Iterator[list[Ring]]:
    """Pass what the claimed events owe to batches; yields the doorbells of each slice.

    A slice is committed before it is yielded, so sending starts with the first one, and memory
    holds one slice, however many hooks an event has. Each is twice as large as the one before.
    """
    rest = list(claims)
    limit = first_slice()
    while rest:
        pairs = journal.match(rest, limit)
        rings, rest = journal.commit_slice(
            rest,
            pairs,
            limit,
            batch_size=conf.batch_size(),
            lease=conf.lease(),
            queue_lease=conf.queue_lease(),
        )
        if rings:
            yield rings
        limit = min(2 * limit, conf.slice_size())


def first_slice() -> int:
    """Pairs that are written before any is sent: few, since that is what everybody waits for."""
    return min(_FIRST_SLICE, conf.slice_size())
