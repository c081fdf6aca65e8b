"""Fixtures that every test may use."""

import os
import signal
from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model

from doh.models import Hook
from tests.receiver import Receiver


def pytest_configure() -> None:
    """Hear Ctrl-C, also where a shell in the background has switched it off for its children."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _receiver_server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(_receiver_server: Receiver) -> Receiver:
    """A real HTTP server on loopback that keeps what it was sent; empty for each test."""
    _receiver_server.reset()
    return _receiver_server


@pytest.fixture
def user(db):
    """Somebody who owns hooks."""
    return get_user_model().objects.create(username="ada")


@pytest.fixture
def hook_on(user, receiver):
    """Create a hook on an object; its target is the receiver unless one is given."""

    def create(instance, target: str | None = None, **fields) -> Hook:
        return Hook.objects.create(
            user=user, content_object=instance, target=target or receiver.url("/"), **fields
        )

    return create


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A real Redis or Valkey; missing, it fails in CI and skips elsewhere."""
    url = os.environ.get("REDIS_URL")
    if url is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("REDIS_URL is not set: make test")
    return url
