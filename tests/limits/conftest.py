"""An empty Redis for the limits, and a clock that tests turn."""

import json
from itertools import count

import pytest
import redis
from django.utils import timezone

from doh.context import CurrentHook
from doh.dispatch import Job, Work
from doh.journal import BatchClaim, Owed
from doh.wire.request import Message
from doh.wire.signing import Keyring, new_secret
from doh.wire.target import parse_target
from doh_tasks.limits import reporting
from doh_tasks.limits.store import _source, host_key

SECOND = 1_000_000
KEYRING = Keyring.of(new_secret(), None)
HOST = "a.example"


@pytest.fixture
def client(redis_url, settings, monkeypatch):
    """The Redis that limits are kept in."""
    settings.HOOK_REDIS_URL = redis_url
    monkeypatch.setattr(reporting, "view", reporting.View())
    monkeypatch.setattr(reporting, "_tally", reporting._Tally())
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def scripts(client):
    """The two scripts as they are, but for the clock."""
    return Scripts(client)


class Scripts:
    """Runs the scripts at a time of the test's choice, in seconds."""

    def __init__(self, client):
        self.now = 1_000_000.0
        self._client = client
        self._scripts = {
            name: client.register_script(_turned(name)) for name in ("admit", "report")
        }

    def admit(self, number=1, rates=(), hold=0.0, horizon=1e6, granted=0, host=HOST):
        """The waits (seconds) and verdicts of pairs that all have the same limits."""
        places = [place + 1 for place in range(len(rates))] + [0] * (3 - len(rates))
        periods = [[rate.period, rate.period * (rate.burst - 1)] for rate in rates]
        asked = {
            "hold": hold * SECOND,
            "horizon": horizon * SECOND,
            "lease": 30 * SECOND,
            "limits": [[round(SECOND * time) for time in row] for row in periods],
            "pairs": [[1, *places, granted]] * number,
        }
        keys = [f"rate:{rate.number}/{rate.seconds}" for rate in rates]
        answer = self._run("admit", [*keys, host_key(host)], asked)
        return [
            (wait / SECOND, verdict)
            for wait, verdict in zip(answer[::2], answer[1::2], strict=True)
        ]

    def report(self, *seen, known=-1, breaker=True, host=HOST, latency=0.1, quiet=0, busy=0):
        """Report outcomes of one host in their order, True for an answer; returns the view."""
        row = next((place for place, good in enumerate(reversed(seen)) if good), len(seen))
        told = [host, sum(seen), seen.count(False), row, int(any(seen))]
        told += [int(latency * SECOND), int(quiet * SECOND), busy]
        rules = {"failures": 5, "share": 0.7, "least": 10}
        rules |= {"window": 300 * SECOND, "pause": 30 * SECOND, "longest": 3600 * SECOND}
        asked = {
            "known": known,
            "breaker": rules if breaker else None,
            "slow": 2 * SECOND,
            "hosts": [told],
        }
        names = ["version", "watched", "barred", "slow"]
        answer = self._run("report", [*names, host_key(host)], asked)
        return [
            part if isinstance(part, int) else {name.decode() for name in part} for part in answer
        ]

    def _run(self, name, keys, asked):
        clock = [int(self.now), round(self.now % 1 * SECOND)]
        return self._scripts[name](keys, [json.dumps(asked), json.dumps(clock)])


def _turned(name):
    source = _source(f"{name}.lua")
    clocked = source.replace("redis.call('TIME')", "cjson.decode(ARGV[2])")
    assert clocked != source
    # Keys expire by the real clock.
    return clocked.replace("'PX', left", "'PX', left + 600000")


@pytest.fixture
def make_work():
    """A prepared batch of so many jobs."""
    numbers = count(1)

    def make(number=1, target="http://a.example/", rate="", hook=1, hold=0.0, **owed):
        jobs = []
        for _ in range(number):
            one = next(numbers)
            message = Message("evt_1", "app.vehicle.changed", "1", one)
            current = CurrentHook(hook, KEYRING, message)
            pair = Owed(one, hook, **owed)
            jobs.append(
                Job(pair, target, current, "{}", parse_target(target), None, rate, hold=hold)
            )
        claim = BatchClaim(1, 1, tuple(job.owed for job in jobs), timezone.now())
        return Work(claim, None, tuple(jobs), (), frozenset())

    return make
