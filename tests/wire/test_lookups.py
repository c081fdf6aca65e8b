import socket
import threading
from concurrent.futures import TimeoutError as StillAsked

import pytest

from doh.wire import lookups
from doh.wire.guard import Address
from doh.wire.lookups import Lookups, look_up_now

ANSWER = (Address(socket.AF_INET, "127.0.0.1", 80),)


class Server:
    """A name server of ours: names that start with ``slow`` wait until they are let go."""

    def __init__(self):
        self.asked = []
        self.gate = threading.Event()

    def __call__(self, host, port):
        self.asked.append(host)
        if host.startswith("slow"):
            self.gate.wait(30)
        if host == "none":
            raise socket.gaierror("no such name")
        return ANSWER


@pytest.fixture
def server():
    made = Server()
    yield made
    made.gate.set()


def test_a_name_is_looked_up(server):
    pool = Lookups(server)
    assert pool.ask("a", 80).result(10) == ANSWER
    with pytest.raises(socket.gaierror):
        pool.ask("none", 80).result(10)


def test_one_name_is_looked_up_once_at_a_time(server):
    pool = Lookups(server)
    asked = [pool.ask("slow", 80) for _ in range(5)]
    with pytest.raises(StillAsked):
        asked[0].result(0.05)
    server.gate.set()
    assert [one.result(10) for one in asked] == [ANSWER] * 5
    assert server.asked == ["slow"]


def test_names_that_hang_leave_threads_for_the_others(server):
    pool = Lookups(server)
    for number in range(lookups.THREADS - 1):
        pool.ask(f"slow{number}", 80)
    assert pool.ask("a", 80).result(10) == ANSWER


def test_there_are_never_more_threads_than_allowed(server):
    pool = Lookups(server)
    asked = [pool.ask(f"slow{number}", 80) for number in range(lookups.THREADS * 3)]
    names = [one.name for one in threading.enumerate() if one.name == "doh-lookup"]
    assert pool._threads == lookups.THREADS <= len(names)
    server.gate.set()
    assert {one.result(10) for one in asked} == {ANSWER}


def test_names_that_were_slow_share_a_few_threads(server, monkeypatch):
    monkeypatch.setattr(lookups, "SLOW", 0.0)
    pool = Lookups(server)
    server.gate.set()
    names = [f"slow{number}" for number in range(lookups.THREADS)]
    for one in [pool.ask(name, 80) for name in names]:
        one.result(10)
    server.gate.clear()
    server.asked.clear()
    asked = [pool.ask(name, 80) for name in names]
    assert pool.ask("a", 80).result(10) == ANSWER
    assert len(server.asked) <= lookups.SLOW_THREADS + 1
    server.gate.set()
    assert {one.result(10) for one in asked} == {ANSWER}


def test_a_thread_without_work_ends(server, monkeypatch):
    monkeypatch.setattr(lookups, "_IDLE", 0.01)
    pool = Lookups(server)
    for _ in range(3):
        assert pool.ask("a", 80).result(10) == ANSWER
        with pool._changed:
            assert pool._changed.wait_for(lambda: True, 0)
    for thread in threading.enumerate():
        if thread.name == "doh-lookup" and thread._target.__self__ is pool:
            thread.join(10)
    assert pool._threads == 0


def test_addresses_come_in_order_and_once():
    found = look_up_now("127.0.0.1", 80)
    assert found == ANSWER
