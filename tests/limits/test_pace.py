"""How many POSTs the pump starts before it looks for answers."""

import selectors
from collections import deque
from itertools import pairwise

import pytest

from doh_tasks.pump import loop
from tests.wire.transports import Curl, job_for


class Jobs(deque):
    """Jobs that count how many were taken."""

    taken = 0

    def popleft(self):
        self.taken += 1
        return super().popleft()


@pytest.fixture
def looks(monkeypatch):
    """A list of what each look at the sockets found: jobs taken so far, and for how long it was."""
    seen = []

    class Selector(selectors.DefaultSelector):
        def select(self, timeout=None):
            seen.append((jobs.taken, timeout))
            return super().select(timeout)

    jobs = Jobs()
    monkeypatch.setattr(loop.selectors, "DefaultSelector", Selector)
    return jobs, seen


def test_receivers_get_a_moment_to_answer_before_many_more_connections_are_opened(looks, receiver):
    jobs, seen = looks
    curl = Curl()
    jobs.extend([job_for(receiver.url("/hold/"))] * 80)
    curl.start(jobs)
    receiver.wait_for_posts(80)
    receiver.release()
    curl.replies(80)
    curl.close()
    started = [(after - before, timeout) for (before, _), (after, timeout) in pairwise(seen)]
    busy = [(number, timeout) for number, timeout in started if number]
    assert max(number for number, _ in busy) <= loop._AHEAD
    assert any(timeout > 0 for _, timeout in busy)
