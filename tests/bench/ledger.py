"""A large ledger, and how much of it each of the journal's statements touches (P6)."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from vehicles.models import Vehicle

from doh.journal import Ring, get_journal
from doh.models import Event
from doh.retry import settle
from doh.types import Outcome, Verdict
from tests.bench import stage
from tests.bench.figures import Figure, Series, at_most
from tests.bench.run import Run
from tests.buffers import Touched, explained

#: Deliveries of one event, in the ledger that is made.
PER_EVENT: Final = 100
_EVENTS = """
    INSERT INTO doh_event (uid, content_type_id, label, object_id, action, "using", deliverer,
        result_hook, payload, error, occurred_at, epoch, tries, hooks_until, fanned_to, fanned_at,
        pending, finished_at)
    SELECT 'evt_' || n, %(kind)s, 'vehicles.vehicle', n %% 1000, 'changed', 'default',
        'doh.deliverers.base.HooksDeliverer', false, '{}', '', at, 1, 0, 1, 1, %(now)s, 0, at
    FROM generate_series(1, %(events)s) AS n,
        LATERAL (SELECT %(now)s - (%(events)s - n) * interval '0.1 s' AS at) AS moment
    ORDER BY n
"""
_DELIVERIES = """
    INSERT INTO doh_delivery (event_id, hook_id, status, attempts, due_at, status_code, detail,
        host, updated_at, pending, granted)
    SELECT first + n / %(each)s, n %% %(each)s, CASE WHEN due THEN 'waiting' ELSE 'succeeded' END,
        1, CASE WHEN due THEN %(now)s - interval '1 s' END, CASE WHEN due THEN 500 ELSE 204 END,
        '', '127.0.1.' || n %% 250, %(now)s, false, 0
    FROM (SELECT n, coalesce(n %% (%(rows)s / nullif(%(due)s, 0)) = 0, false) AS due
          FROM generate_series(0, %(rows)s - 1) AS n) AS r,
        (SELECT min(id) AS first FROM doh_event) AS e
"""
_HOOKS = """
    INSERT INTO doh_hook (user_id, content_type_id, object_id, action, target, secret, created_at,
        disabled_reason, rate_limit)
    SELECT %(user)s, %(kind)s, CASE WHEN n %% 2 = 0 THEN '55' ELSE n::text END, 'changed',
        'http://127.0.1.1/' || n, '', now(), '', ''
    FROM generate_series(1, %(rows)s) AS n
"""


def fill(rows: int, due: int, days: float = 0) -> None:
    """Make a ledger of so many deliveries, so many days old.

    So many of them are due for another attempt.
    """
    stage.clear()
    now = get_journal().now() - timedelta(days=days)
    values = {
        "rows": rows, "due": due, "each": PER_EVENT, "events": rows // PER_EVENT,
        "now": now, "kind": ContentType.objects.get_for_model(Vehicle).pk,
        "user": get_user_model().objects.get(username="ada").pk,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, values)
        cursor.execute(_DELIVERIES, values)
        cursor.execute(_HOOKS, values | {"rows": rows // PER_EVENT})
        for table in ("doh_event", "doh_delivery", "doh_batch", "doh_hook"):
            cursor.execute(f"VACUUM ANALYZE {table}")


def due_scan(limit: int) -> None:
    """The deliveries that are due, passed to new batches."""
    get_journal().gather_retries(limit, 500, 600)


def sweep() -> None:
    """What every sweep asks, on a ledger that owes it nothing."""
    journal = get_journal()
    journal.overdue_batches(1_000, 600)
    journal.has_due_events()
    journal.claim_events(500, 60)
    journal.claim_results(100, 60)


def flush(number: int) -> Callable[[], None]:
    """The first outcomes of one batch."""
    journal = get_journal()
    event = Event.objects.latest("pk")
    ring = journal.write_trial(_copy_of(event), 1, 600)
    claim = journal.claim_batch(ring, 60)
    if claim is None:
        raise SystemExit("The trial's batch was claimed by somebody else.")
    (owed,) = claim.owed
    outcome = Outcome(Verdict.SUCCEEDED, status_code=204, host="127.0.1.1")
    settled = [settle(replace(owed, hook_id=1_000 + n), outcome, (0,)) for n in range(number)]
    return lambda: _flush(claim.ring, settled)


def _flush(ring: Ring, settled: list[Any]) -> None:
    get_journal().flush(ring, settled, done=True)


def _copy_of(event: Event) -> Event:
    event.pk, event.uid, event.finished_at = None, f"evt_copy{time.time_ns()}", None
    return event


def match(limit: int) -> Callable[[], None]:
    """The hooks of one event among all the others'."""
    claims = get_journal().claim_events(1, 60, [_fresh_event().pk])
    return lambda: _match(claims, limit)


def fan_out(limit: int) -> Callable[[], None]:
    """The same in one statement, which finds more than it may take."""
    deliverer = _fresh_event().deliverer
    return lambda: _fan_out(deliverer, limit)


def _fan_out(deliverer: str, limit: int) -> None:
    get_journal().fan_out_at_once(deliverer, 500, limit - 1, batch_size=500, queue_lease=600)


def _fresh_event() -> Event:
    event = Event.objects.latest("pk")
    event.object_id, event.fanned_at, event.pending, event.fanned_to = "55", None, 0, 0
    event.due_at, event.hooks_until = get_journal().now(), 10**12
    event = _copy_of(event)
    event.epoch = 0
    event.save(force_insert=True)
    return event


def _match(claims: list[Any], limit: int) -> None:
    get_journal().match(claims, limit)


def prune(limit: int) -> None:
    """One step of pruning: everything of the ledger is old enough."""
    journal = get_journal()
    journal.prune(journal.now() + timedelta(seconds=1), limit)


def prune_nothing() -> None:
    """One step of pruning where nothing of the ledger is old enough."""
    before = Event.objects.earliest("pk").occurred_at
    assert get_journal().prune(before, 1_000) == 0


def p6(run: Run) -> Iterator[Figure]:
    """Due scan and sweep on a large ledger, and on a small one."""
    times, buffers = [], []
    few = max(10_000, run.scale.due * 2) if run.scale.rows > 10_000 else run.scale.rows // 2
    for rows in (few, run.scale.rows):
        fill(rows, run.scale.due)
        measured = [_look(run.scale.due) for _ in range(run.repeat)]
        buffers.append(Series.of([one.buffers / run.scale.due for one in measured]))
        times.append(Series.of([one.milliseconds for one in measured]))
    what = f"due scan and sweep, {run.scale.due:,} of {run.scale.rows:,} deliveries due"
    yield at_most(50, "P6", what, "buffers per due row", buffers[1])
    beside = f"{few:,} deliveries"
    met = times[1].median <= 3 * times[0].median
    yield Figure("P6", what, "ms", times[1], beside, times[0], "<= 3 x", met)
    stage.clear()


def _look(due: int) -> Touched:
    with explained() as touched:
        due_scan(2 * due)
        sweep()
    return touched
