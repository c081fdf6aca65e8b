"""What beat sends, as a worker takes it."""

from doh_tasks.queues import beat_schedule


def test_a_worker_whose_clock_is_minutes_ahead_does_not_throw_sweeps_and_retries_away():
    assert all(entry["options"]["expires"] >= 3600 for entry in beat_schedule().values())
