"""The sizing holds in the simulation, and its shortfalls show there."""

from dataclasses import replace

import pytest

from tests.bench.simulate import Costs, simulate, size, tell

COSTS = Costs(
    element=148, collection=6.1, database=30, broker=1.2, delivery_bytes=211, wal_bytes=510
)


@pytest.mark.parametrize("rate", [100, 10_000, 1_000_000])
def test_what_is_sized_for_a_rate_keeps_up_with_it(rate):
    minute = simulate(rate, size(rate, COSTS), COSTS)
    assert minute.load <= 0.6 + 1e-9
    assert minute.left < rate * 0.02
    assert minute.delivered == pytest.approx(rate * 62, rel=0.01)


def test_a_burst_is_worked_off():
    short = simulate(10_000, size(10_000, COSTS), COSTS, burst=1)
    long = simulate(10_000, size(10_000, COSTS), COSTS, burst=10)
    assert short.longest < 0.1 < long.longest
    assert long.left < 1_000


@pytest.mark.parametrize("stage", ["element", "ledgers"])
def test_a_stage_that_is_too_small_leaves_a_backlog_and_is_named(stage):
    rate = 100_000
    found = size(rate, COSTS)
    minute = simulate(rate, replace(found, **{stage: getattr(found, stage) // 2}), COSTS)
    assert minute.left > rate
    assert minute.busiest == stage.removesuffix("s").replace("ledger", "ledger")


def test_it_tells_of_a_growing_backlog_only_where_fewer_processes_leave_one():
    assert "and growing" in tell(10_000, replace(COSTS, element=208))
    assert "and growing" not in tell(10_000, replace(COSTS, element=60))
