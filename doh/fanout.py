"""Fan events out: from claimed events to batches, slice by slice."""

from collections.abc import Iterator, Sequence

from doh import conf
from doh.journal import EventClaim, Journal, Ring


def fan_out(journal: Journal, claims: Sequence[EventClaim]) -> Iterator[list[Ring]]:
    """Pass what the claimed events owe to batches; yields the doorbells of each slice.

    A slice is committed before it is yielded, so sending starts with the first one, and memory
    holds one slice, however many hooks an event has.
    """
    rest = list(claims)
    limit = conf.slice_size()
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
