"""Pack pairs into batches."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from doh.types import Pair

#: How a batch's pairs are stored: ``[[event id, [hook id, …]], …]``.
Packed = list[list[int | list[int]]]


def pack(pairs: Iterable[Pair], size: int) -> list[list[Pair]]:
    """Batches of at most ``size`` pairs that keep an event whole wherever it fits into one.

    Pairs of one event must stand together. A flush locks the events of its batch, so an event
    in few batches is a lock seldom waited for.
    """
    batches: list[list[Pair]] = [[]]
    for _, group in groupby(pairs, key=lambda pair: pair.event_id):
        rest = list(group)
        if len(rest) <= size < len(batches[-1]) + len(rest):
            batches.append([])
        while rest:
            room = size - len(batches[-1])
            if room == 0:
                batches.append([])
                room = size
            batches[-1] += rest[:room]
            rest = rest[room:]
    return [batch for batch in batches if batch]


def dump_pairs(pairs: Sequence[Pair]) -> Packed:
    """Pairs in the form they are stored in."""
    return [
        [event_id, [pair.hook_id for pair in group]]
        for event_id, group in groupby(pairs, key=lambda pair: pair.event_id)
    ]


def load_keys(stored: Packed) -> list[tuple[int, int]]:
    """The pairs of a stored batch, as plain tuples: each is made into something else at once."""
    return [(event_id, hook_id) for event_id, hooks in stored for hook_id in hooks]  # type: ignore[union-attr, misc]
