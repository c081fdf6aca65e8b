"""What it takes to deliver so many POSTs a second: arithmetic, and a simulation that checks it.

``python -m tests.bench.simulate 10000`` sizes an installation from measured costs, then lets it
run for a simulated minute with a burst in it, and tells where it would break first.
"""

import argparse
import json
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

#: A stage is sized for this share of what it can do: bursts and backlogs need the rest.
HEADROOM = 0.6
_STEP = 0.01


#: The run of the benchmark that docs/performance.md tells of.
MEASURED = Path(__file__).parents[2] / "docs" / "img" / "performance.json"
_FIGURES = {
    "element": "CPU for one POST: element",
    "collection": "CPU for one POST: collection",
    "database": "CPU for one POST: PostgreSQL",
    "broker": "CPU for one POST: Valkey",
    "delivery_bytes": "ledger on disk for one POST",
    "wal_bytes": "WAL for one POST",
}


@dataclass(frozen=True, slots=True)
class Costs:
    """What one delivery costs: microseconds of one core, and bytes.

    ``rows`` and ``messages`` are assumptions, not measurements: how many deliveries a second one
    PostgreSQL writes that has a machine to itself, and what one Redis hands out in a second.
    """

    element: float
    collection: float
    database: float
    broker: float
    delivery_bytes: float = 211.0
    wal_bytes: float = 510.0
    batch: int = 2_000
    rows: float = 30_000.0
    messages: float = 8_000.0

    @classmethod
    def measured(cls, path: Path = MEASURED) -> "Costs":
        """As a run of the benchmark found them."""
        found = {
            one["what"]: one["median"]
            for one in json.loads(path.read_text())["figures"]
            if one["goal"] == "P1"
        }
        return cls(**{name: found[what] for name, what in _FIGURES.items() if what in found})


@dataclass(frozen=True, slots=True)
class Installation:
    """How many of each there are; a ledger is a PostgreSQL server with its share of objects."""

    element: int
    collection: int
    ledgers: int
    brokers: int

    def capacities(self, costs: Costs) -> dict[str, float]:
        """Deliveries a second that each stage can do, in their order."""
        return {
            "collection": self.collection * 1e6 / costs.collection,
            "broker": self.brokers * costs.messages * costs.batch,
            "element": self.element * 1e6 / costs.element,
            "ledger": self.ledgers * costs.rows,
        }


@dataclass(frozen=True, slots=True)
class Minute:
    """What a simulated minute came to; seconds of waiting, and the stage that was the busiest."""

    delivered: float
    longest: float
    left: float
    busiest: str
    load: float


def size(rate: float, costs: Costs) -> Installation:
    """What a rate takes, each stage at no more than `HEADROOM`."""
    wanted = rate / HEADROOM
    return Installation(
        element=math.ceil(wanted * costs.element / 1e6),
        collection=math.ceil(wanted * costs.collection / 1e6),
        ledgers=math.ceil(wanted / costs.rows),
        brokers=math.ceil(wanted / costs.batch / costs.messages),
    )


def simulate(
    rate: float, installation: Installation, costs: Costs, burst: float = 3.0, seconds: float = 60
) -> Minute:
    """Run the stages as queues, one after the other; for one second, ``burst`` times the rate."""
    capacities = installation.capacities(costs)
    waiting = dict.fromkeys(capacities, 0.0)
    arrivals: deque[tuple[float, float]] = deque()
    delivered = longest = 0.0
    for step in range(int(seconds / _STEP)):
        now = step * _STEP
        coming = rate * _STEP * (burst if 10 <= now < 11 else 1.0)
        arrivals.append((now, coming))
        for name, capacity in capacities.items():
            waiting[name] += coming
            coming = min(waiting[name], capacity * _STEP)
            waiting[name] -= coming
        delivered += coming
        longest = max(longest, _take(arrivals, coming, now))
    busiest = min(capacities, key=lambda name: capacities[name])
    return Minute(delivered, longest, sum(waiting.values()), busiest, rate / capacities[busiest])


def _take(arrivals: deque[tuple[float, float]], number: float, now: float) -> float:
    """Take the oldest arrivals out; returns how long the oldest of them had waited."""
    waited = now - arrivals[0][0] if arrivals and number else 0.0
    while arrivals and number > 1e-9:
        came, many = arrivals.popleft()
        taken = min(many, number)
        number -= taken
        if many - taken > 1e-9:
            arrivals.appendleft((came, many - taken))
    return waited


def tell(rate: float, costs: Costs) -> str:
    """The arithmetic and the simulation, in words."""
    found = size(rate, costs)
    minute = simulate(rate, found, costs)
    capacities = found.capacities(costs)
    gigabytes = rate * costs.delivery_bytes * 86_400 / 1e9
    burst = f"longest wait {minute.longest:.2f} s, left over {minute.left:,.0f}"
    lines = [
        f"{rate:,.0f} deliveries/s, each stage at no more than {HEADROOM:.0%}:",
        f"  element processes (a core each)     {found.element:>10,}",
        f"  collection processes                {found.collection:>10,}",
        f"  PostgreSQL servers for the ledger   {found.ledgers:>10,}",
        f"  Redis servers                       {found.brokers:>10,}",
        f"  messages/s                          {rate / costs.batch:>10,.0f}",
        f"  cores for PostgreSQL                {rate * costs.database / 1e6 / HEADROOM:>10,.1f}",
        f"  rows written, GB a day              {gigabytes:>10,.0f}",
        f"  WAL, MB/s                           {rate * costs.wal_bytes / 1e6:>10,.0f}",
        "could do, in deliveries/s:",
        *(f"  {name:<36}{capacity:>10,.0f}" for name, capacity in capacities.items()),
        f"breaks first: {minute.busiest}, at {minute.load:.0%} now",
        f"a minute with one second of three times the rate: {burst}",
        *_too_few(rate, found, costs),
    ]
    return "\n".join(lines)


def _too_few(rate: float, found: Installation, costs: Costs) -> Iterator[str]:
    """What comes of too few element processes; nothing where already one is enough."""
    number = math.floor(rate * costs.element / 1e6 * 0.9)
    if number:
        short = simulate(rate, replace(found, element=number), costs)
        backlog = f"longest wait {short.longest:.1f} s, left over {short.left:,.0f} and growing"
        yield f"with element processes for less than the rate ({number:,}): {backlog}"


def main() -> None:
    """Size for the rates that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rates", type=float, nargs="*", default=[10_000, 1_000_000])
    costs = Costs.measured()
    for name in ("element", "collection", "database", "rows", "messages"):
        parser.add_argument(f"--{name}", type=float, default=getattr(costs, name))
    options = parser.parse_args()
    own = {key: value for key, value in vars(options).items() if key != "rates"}
    costs = replace(costs, **own)
    print("\n\n".join(tell(rate, costs) for rate in options.rates))


if __name__ == "__main__":
    main()
