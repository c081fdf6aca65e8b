"""What beat sends, as a worker takes it; and how the documentation starts the workers."""

import re
from pathlib import Path

from doh.names import SWEEP
from doh_tasks.queues import beat_schedule


def test_a_worker_whose_clock_is_minutes_ahead_does_not_throw_sweeps_and_retries_away():
    assert all(entry["options"]["expires"] >= 3600 for entry in beat_schedule().values())


def test_idle_processes_are_woken_up_for_one_message():
    often = {name for name, entry in beat_schedule().items() if entry["schedule"] < 3600}
    assert often == {SWEEP}


def test_no_documented_worker_listens_to_the_heartbeats_of_the_others():
    root = Path(__file__).parents[1]
    documents = [root / "README.md", root / "celeryconfig.example.py"]
    documents += [one for room in ("docs", "deploy") for one in (root / room).rglob("*.*")]
    commands = [
        line
        for one in documents
        if one.suffix in {".md", ".py", ".yaml", ".service"}
        for line in one.read_text().splitlines()
        if re.search(r"celery.* worker\b.* -[nQ]", line)
    ]
    assert len(commands) > 12
    assert [line for line in commands if "--without-gossip" not in line] == []
