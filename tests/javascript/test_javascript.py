"""What every deliverer sends is verified by the libraries of Python and JavaScript, and by us."""

import time
from urllib.parse import urlsplit

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from doh.exceptions import VerificationError
from doh.models import Delivery, Event
from doh.verify import verify
from doh.wire.signing import new_secret, public_key
from tests import project
from tests.app.models import Vehicle
from tests.javascript import library
from tests.tasks.conftest import broker, workers  # noqa: F401 - fixtures

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.workers]

INLINE = {
    "synchronous": {},
    "eventlet": {"HOOK_COLLECTION_DELIVERER": "doh.deliverers.deliver_hooks_using_eventlet"},
    "callable": {"HOOK_ELEMENT_DELIVERER": "tests.project.signed_element"},
}
QUEUED = {
    "batch": {},
    "eventlet task": {
        "HOOK_COLLECTION_DELIVERER": "doh.deliverers.deliver_hooks_using_eventlet_task"
    },
    "callable task": {"HOOK_ELEMENT_DELIVERER": "tests.project.signed_element"},
}
SYNCHRONOUS = {
    "HOOK_COLLECTION_DELIVERER": "doh.deliverers.deliver_hooks",
    "HOOK_ELEMENT_DELIVERER": "doh.deliverers.deliver_hook",
}


@pytest.fixture(scope="module", autouse=True)
def _library():
    library.install()


@pytest.fixture
def told(hook_on, receiver):
    """Hooks of every kind: what each of their receivers holds, and what nobody may."""
    bus = Vehicle.objects.create(name="55")

    def hook(path, **fields):
        return hook_on(bus, target=receiver.url(path), action="washed", **fields)

    plain, rotated, keyed, changed = (
        hook("/plain"),
        hook("/rotated"),
        hook("/keyed", scheme="v1a"),
        hook("/changed"),
    )
    first, before = rotated.secret, changed.secret
    rotated.rotate_secret()
    changed.rotate_secret("v1a")
    good = {
        "/plain": [plain.secret],
        "/rotated": [rotated.secret, first],
        "/keyed": [keyed.public_key],
        "/changed": [changed.public_key, before],
    }
    bad = [new_secret(), public_key(new_secret("v1a"))]
    return bus, good, bad


def send(bus):
    from doh.signals import hook_event

    # Text of every width: each side must sign the same bytes.
    hook_event.send(sender=Vehicle, instance=bus, action="washed", payload={"by": "Zoë 🚌", "n": 1})


def python_accepts(message):
    if message["secret"].startswith("whpk_"):
        return None
    try:
        Webhook(message["secret"]).verify(message["body"], message["headers"])
    except WebhookVerificationError:
        return False
    return True


def ours_accepts(message):
    try:
        verify((message["body"], message["headers"]), message["secret"])
    except VerificationError:
        return False
    return True


def check(posts, good, bad):
    """Every verifier takes every good secret of every POST, and no bad one, and no other body."""
    assert sorted(post.path for post in posts) == sorted(good)
    cases = []
    for post in posts:
        message = {"headers": post.headers, "body": post.body.decode()}
        changed = {**message, "body": message["body"].replace("1", "2")}
        secrets = good[urlsplit(post.path).path]
        cases += [({**message, "secret": secret}, True) for secret in secrets]
        cases += [({**message, "secret": secret}, False) for secret in bad]
        cases += [({**changed, "secret": secret}, False) for secret in secrets]
    messages = [message for message, _ in cases]
    expected = [accepted for _, accepted in cases]
    assert library.ask(verify=messages)["verified"] == expected
    assert [ours_accepts(message) for message in messages] == expected
    assert all(python_accepts(message) in (None, accepted) for message, accepted in cases)


@pytest.mark.parametrize("deliverer", INLINE)
def test_what_is_sent_here_is_verified_by_all(deliverer, told, receiver, settings):
    project.reset()
    for name, value in {**SYNCHRONOUS, **INLINE[deliverer]}.items():
        setattr(settings, name, value)
    bus, good, bad = told
    send(bus)
    check(receiver.wait_for_posts(len(good)), good, bad)


@pytest.mark.parametrize("deliverer", QUEUED)
def test_what_workers_send_is_verified_by_all(
    deliverer,
    told,
    receiver,
    settings,
    broker,  # noqa: F811
    workers,  # noqa: F811
):
    for name, value in QUEUED[deliverer].items():
        setattr(settings, name, value)
    bus, good, bad = told
    running = workers(**QUEUED[deliverer]).all()
    send(bus)
    running.until(lambda: Delivery.objects.count() == len(good), "element")
    check(receiver.posts, good, bad)
    running.until(lambda: Event.objects.get().finished_at is not None, "element")


@pytest.mark.parametrize("body", ["{}", '{"by": "Zoë 🚌"}', ""])
def test_what_the_library_signs_is_verified_by_us(body):
    secret, now = new_secret(), int(time.time())
    (signature,) = library.ask(
        sign=[{"secret": secret, "id": "msg_1", "timestamp": now, "body": body}]
    )["signed"]
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature,
    }
    assert verify((body, headers), secret).body == body.encode()
    with pytest.raises(VerificationError):
        verify((body + " ", headers), secret)
