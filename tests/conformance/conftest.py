import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import redis
import trustme
from celery import current_app

from doh.deliverers import celery
from doh.deliverers.sending import _transport
from tests.celery_app import app
from tests.conformance.canary import Canary
from tests.conformance.name_server import NameServer
from tests.conformance.senders import (
    ELEMENT_TASK,
    TASK,
    DirectSender,
    HookSender,
    QueuedDirectSender,
)
from tests.workers import COLLECTION, ELEMENT, Workers

#: What a project has that sets nothing, but for time and for who signs certificates.
DEFAULTS = {
    "HOOK_ALLOWED_NETWORKS": [],
    "HOOK_ALLOWED_PORTS": [80, 443, 8080, 8443],
    "HOOK_CONNECT_TIMEOUT": 4,
    "HOOK_TOTAL_TIMEOUT": 6,
    "HOOK_RETRY_SCHEDULE": [0],
    "HOOK_EVENTLET_CONCURRENCY": 20,
}
#: Public addresses of this network of ours: where they lead outside of it does not matter here.
SITE, SITE_6 = "8.8.8.8", "2606:4700:4700::1111"

SENDERS = {
    "synchronous": {"HOOK_COLLECTION_DELIVERER": "doh.deliverers.deliver_hooks"},
    "eventlet": {"HOOK_COLLECTION_DELIVERER": "doh.deliverers.deliver_hooks_using_eventlet"},
    "batch": {"HOOK_COLLECTION_DELIVERER": TASK, "HOOK_ELEMENT_DELIVERER": ELEMENT_TASK},
    "eventlet task": {
        "HOOK_COLLECTION_DELIVERER": "doh.deliverers.deliver_hooks_using_eventlet_task"
    },
    "own callable": {"HOOK_ELEMENT_DELIVERER": "tests.project.signed_element"},
    "own callable in tasks": {
        "HOOK_COLLECTION_DELIVERER": TASK,
        "HOOK_ELEMENT_DELIVERER": "tests.project.signed_element",
    },
    "direct": None,
    "direct in a task": None,
}


@pytest.fixture(scope="session", autouse=True)
def _in_namespaces() -> None:
    if os.environ.get("DOH_CONFORMANCE") != "yes":
        pytest.exit("These tests need a network of their own: make conformance", 1)


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> SimpleNamespace:
    """Who signs the certificates of this network."""
    made = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(path))
    return SimpleNamespace(ca=made, path=str(path))


def _context(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.fixture(scope="session")
def _canary(authority) -> Iterator[Canary]:
    issue = authority.ca.issue_cert
    past = datetime.now(UTC) - timedelta(days=1)
    canary = Canary(
        {
            "": _context(issue(SITE, SITE_6)),
            "good.example": _context(issue("good.example")),
            "another-name.example": _context(issue("good.example")),
            "address-only.example": _context(issue(SITE)),
            "expired.example": _context(issue("expired.example", not_after=past)),
            "self-signed.example": _context(trustme.CA().issue_cert("self-signed.example")),
        }
    )
    yield canary
    canary.stop()


@pytest.fixture(scope="session")
def _name_server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.stop()


@pytest.fixture
def canary(_canary) -> Canary:
    """Listens on every address of this network; nobody has come yet."""
    _canary.forget()
    return _canary


@pytest.fixture
def names(_name_server) -> dict[str, list[list[str]]]:
    """The names there are, each with its answers in their order."""
    _name_server.forget()
    return _name_server.zone


@pytest.fixture(scope="session", params=SENDERS)
def _sender(request, django_db_setup, django_db_blocker, tmp_path_factory, authority):
    name, chosen = request.param, SENDERS[request.param]
    if name == "direct":
        yield DirectSender()
        return
    queued = chosen is None or any(str(path).endswith("_task") for path in chosen.values())
    if not queued:
        yield HookSender(None, **chosen)
        return
    app.set_default()
    assert current_app.main == "tests"
    redis.Redis.from_url(os.environ["REDIS_URL"]).flushall()
    settings = DEFAULTS | {"HOOK_CA_BUNDLE": authority.path} | (chosen or {})
    with (
        django_db_blocker.unblock(),
        Workers(tmp_path_factory.mktemp("workers"), **settings) as workers,
    ):
        workers.worker("element", f"{COLLECTION},{ELEMENT}", "-c", "1")
        yield HookSender(workers, **chosen) if chosen else QueuedDirectSender(workers)


@pytest.fixture
def sender(_sender, settings, authority, monkeypatch):
    """Each deliverer, with the settings of a project that sets nothing."""
    app.set_default()
    monkeypatch.setattr(celery.doorbell, "_resting_until", 0.0)
    wanted = DEFAULTS | {"HOOK_CA_BUNDLE": authority.path} | _sender.settings
    for name, value in wanted.items():
        setattr(settings, name, value)
    yield _sender
    _transport.cache_clear()
