"""What must stay unsaid: secrets, payloads, queries and passwords of targets, header values."""

import contextlib
import logging
import sys
from io import StringIO
from itertools import count

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone
from django.views.debug import ExceptionReporter

from doh.context import CurrentHook
from doh.deliverers import deliver_hook
from doh.deliverers.base import HookDeliverer, HooksDeliverer
from doh.deliverers.chores import work_once
from doh.dispatch import Job
from doh.exceptions import BadTargetError, HookError, stack_of
from doh.journal import Journal, Owed, Settled
from doh.journal.records import BatchClaim, EventClaim
from doh.models import Delivery, Event, Hook
from doh.payloads import Content
from doh.types import Answer, Outcome, Secret, Verdict
from doh.wire.request import Message, build_request
from doh.wire.signing import Keyring, new_secret
from tests import hostile, marks
from tests.app.models import Depot, Parcel, Vehicle

pytestmark = pytest.mark.django_db(transaction=True)


class Quoting(HookDeliverer):
    """Fails over every response, and quotes it."""

    def after_deliver(self, response):
        raise RuntimeError(f"{response.status_code} of {response.url}")


class QuotingCollection(HooksDeliverer):
    """Fails over every event, and quotes its hooks."""

    def after_deliver(self, hooks):
        raise RuntimeError(str([(hook.target, str(hook.secret)) for hook in hooks]))


def quoting_element(target, payload):
    try:
        raise ConnectionError(f"no way to {target}")
    except ConnectionError as error:
        raise RuntimeError(f"{payload} did not arrive") from error


def quoting_rule(candidates):
    hook = Hook.objects.get(pk=candidates[0].hook_id)
    raise RuntimeError(f"{hook.target} {hook.secret!s}")


WAYS = {
    "synchronous": {"HOOK_ELEMENT_DELIVERER": "tests.test_silence.Quoting.deliver"},
    "eventlet": {
        "HOOK_COLLECTION_DELIVERER": "doh.deliverers.deliver_hooks_using_eventlet",
        "HOOK_ELEMENT_DELIVERER": "tests.test_silence.Quoting.deliver",
    },
    "result hook": {"HOOK_COLLECTION_DELIVERER": "tests.test_silence.QuotingCollection.deliver"},
    "callable": {"HOOK_ELEMENT_DELIVERER": "tests.test_silence.quoting_element"},
    "rule": {"HOOK_MAY_RECEIVE": "tests.test_silence.quoting_rule"},
}
PATHS = ("/ok", "/status/500", "/status/410", "/redirect", "/status/503?retry-after=0")


@pytest.fixture
def bus(db):
    return Vehicle.objects.create(name="55")


@pytest.fixture
def hooks(bus, user, hook_on, receiver):
    """Hooks of every fate on a bus, marked; one rotated, two with targets that nobody may save."""
    headers = {"Authorization": f"Bearer {marks.HEADER}"}
    made = [
        hook_on(bus, action="*", target=marks.target(receiver, path), headers=headers)
        for path in PATHS
    ]
    made[0].rotate_secret()
    urls = (marks.with_password(marks.target(receiver, "/")), "http://u:x@h:mark-password-a93d/")
    made += Hook.objects.bulk_create(
        Hook(user=user, content_object=bus, action="*", target=url) for url in urls
    )
    with hostile.hostile(
        lambda sock, stop: sock.sendall(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n")
    ) as url:
        made.append(hook_on(bus, action="*", target=f"{url}?token={marks.QUERY}"))
        yield made


@pytest.fixture
def log():
    """Everything that is logged, at every level, as it would be written down."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def crash(bus):
    from doh.signals import hook_event

    hook_event.send(sender=type(bus), instance=bus, action="crashed", payload={"by": marks.PAYLOAD})


def everything_said(client):
    """What the commands and the admin's pages say, by where they say it."""
    said = {}
    for name, args in (
        ("doh_explain", ("app.Vehicle", str(Vehicle.objects.get().pk))),
        ("doh_status", ()),
    ):
        out = StringIO()
        with contextlib.suppress(SystemExit):
            call_command(name, *args, stdout=out)
        said[name] = out.getvalue()
    client.force_login(get_user_model().objects.create_superuser("grace"))
    for model in (Hook, Event, Delivery):
        base = f"/admin/doh/{model._meta.model_name}/"
        said[base] = client.get(base).content.decode()
        for pk in model.objects.values_list("pk", flat=True):
            said[f"{base}{pk}/change/"] = client.get(f"{base}{pk}/change/").content.decode()
    for pk in Hook.objects.values_list("pk", flat=True):
        for page in ("delete", "history"):
            url = f"/admin/doh/hook/{pk}/{page}/"
            said[url] = client.get(url).content.decode()
    return said


def shown_on_purpose(where):
    """What a page is for: a hook's form edits its target, an event's page shows its payload."""
    if where.startswith("/admin/doh/hook/") and where.endswith("/change/"):
        return ("query", "password")
    if where.startswith("/admin/doh/event/") and where.endswith("/change/"):
        return ("payload",)
    return ()


@pytest.mark.parametrize("way", WAYS)
def test_no_log_no_command_and_no_page_gives_anything_away(
    way, bus, hooks, receiver, log, client, settings
):
    settings.HOOK_RETRY_SCHEDULE = [0, 0]
    for name, value in WAYS[way].items():
        setattr(settings, name, value)
    crash(bus)
    work_once()
    assert Delivery.objects.count() == len(hooks)
    secrets = marks.all_marks(Hook.objects.all())
    assert len(secrets) == 4 + len(hooks) + 1
    signatures = {
        f"signature of {post.path}": post.headers["webhook-signature"].split(",")[-1]
        for post in receiver.posts
        if "webhook-signature" in post.headers
    }
    assert marks.found(log.getvalue(), secrets | signatures) == {}
    said = everything_said(client)
    given_away = {
        where: marks.found(text, secrets | signatures, shown_on_purpose(where))
        for where, text in said.items()
    }
    assert {where: what for where, what in given_away.items() if what} == {}
    assert "Traceback" not in log.getvalue()


def test_an_unattached_post_says_only_its_host(receiver, log):
    with pytest.raises(BadTargetError) as refused:
        deliver_hook(marks.with_password(marks.target(receiver, "/")), f'"{marks.PAYLOAD}"')
    assert marks.found(str(refused.value), marks.all_marks([])) == {}
    deliver_hook(marks.target(receiver, "/status/500"), f'"{marks.PAYLOAD}"')
    deliver_hook(f"http://127.0.0.1:1/?token={marks.QUERY}", f'"{marks.PAYLOAD}"')
    assert len(receiver.posts) == 1
    assert "POST to 127.0.0.1" in log.getvalue()
    assert marks.found(log.getvalue(), marks.all_marks([])) == {}


def reports(settings):
    """The pages and mails that Django makes of the error at hand, with and without DEBUG."""
    texts = {}
    for debug in (False, True):
        settings.DEBUG = debug
        reporter = ExceptionReporter(None, *sys.exc_info(), is_email=not debug)
        texts[debug] = reporter.get_traceback_html() + reporter.get_traceback_text()
    settings.DEBUG = False
    return texts


def fail(*args, **kwargs):
    raise RuntimeError("the disk is full")


def save_parcel(user, like):
    """An event with a dynamic payload."""
    parcel = Parcel.objects.create(code="a", state=marks.PAYLOAD)
    Hook.objects.create(user=user, content_object=parcel, action="*", target=like.target)
    parcel.save()


@pytest.mark.parametrize("where", ["flush", "renew", "store_bodies"])
def test_a_report_of_an_error_in_a_delivery_shows_nothing(
    where, bus, hooks, settings, monkeypatch, user
):
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_task"
    settings.HOOK_REDIS_URL = "redis://127.0.0.1:1/0"
    crash(bus)
    save_parcel(user, hooks[0])
    monkeypatch.setattr(Journal, where, fail)
    # Far beyond any lease, however long this machine is up.
    monkeypatch.setattr("doh.lease.monotonic", count(10**9, 1000).__next__)
    try:
        work_once()
    except RuntimeError:
        texts = reports(settings)
    secrets = marks.all_marks(Hook.objects.all())
    assert "the disk is full" in texts[False]
    assert marks.found(texts[False], secrets) == {}
    # With DEBUG, Django shows all there is; ours still shows no secret.
    assert marks.found(texts[True], secrets, ("payload", "query", "password")) == {}


def test_a_report_of_an_error_in_the_outbox_shows_nothing(hook_on, settings, monkeypatch):
    depot = Depot.objects.create(name=marks.PAYLOAD[:20])
    hook = hook_on(depot)
    monkeypatch.setattr("doh.outbox.write", fail)
    try:
        depot.save()
    except RuntimeError:
        texts = reports(settings)
    assert "the disk is full" in texts[False]
    assert marks.found(texts[False], marks.all_marks([hook])) == {}
    assert "sensitive_variables_wrapper" in texts[False]


def test_values_show_nothing_of_what_they_hold():
    mark = marks.PAYLOAD
    secret = new_secret()
    message = Message("evt_1", "app.vehicle.changed", "55", 7)
    ring = Keyring(secret, ((secret, 2_000_000_000),))
    request = build_request(
        f"http://127.0.0.1/?{mark}",
        mark,
        user_agent="doh/1",
        timestamp=1,
        message=message,
        keyring=ring,
    )
    owed = Owed(1, 1, 0, mark)
    hook = CurrentHook(1, ring, message)
    outcome = Outcome(Verdict.DEAD, "its payload failed", said=mark)
    values = [
        secret,
        {"secret": secret},
        Secret(mark),
        ring,
        request,
        owed,
        hook,
        outcome,
        Job(owed, f"http://127.0.0.1/?{mark}", hook, mark, "127.0.0.1", mark),
        Settled(owed, outcome, "dead", 1, body=mark),
        BatchClaim(1, 1, (owed,), timezone.now(), {"1:1": mark}),
        EventClaim(1, 1, 1, "app.vehicle", "55", "changed", "default", "x", mark, 0, 0, 0),
        Content(mark, mark, mark),
        Answer(200, "OK", (("set-cookie", mark),), mark.encode(), 0.1),
        Hook(target=f"http://127.0.0.1/?{mark}", secret=secret, content_type_id=None).__dict__[
            "secret"
        ],
    ]
    shown = repr(values)
    assert mark not in shown
    assert str(secret) not in shown
    assert f"{secret}" == str(secret)


def test_the_stack_of_an_error_has_its_place_and_not_its_words():
    try:
        quoting_element("http://a/?hidden", "hidden too")
    except RuntimeError as error:
        text = stack_of(error)
    assert text.startswith("RuntimeError from ConnectionError\n")
    assert "in quoting_element" in text
    assert "hidden" not in text.replace('"hidden too")', "").replace('"http://a/?hidden",', "")


def test_the_ledger_keeps_what_the_log_leaves_out(bus, hook_on, log, settings):
    settings.HOOK_ELEMENT_DELIVERER = "tests.test_silence.quoting_element"
    settings.HOOK_RETRY_SCHEDULE = [0]
    hook_on(bus, action="*")
    crash(bus)
    delivery = Delivery.objects.get()
    assert delivery.detail == "RuntimeError: … did not arrive"
    assert "the element deliverer raised RuntimeError" in log.getvalue()


def test_a_failure_of_ours_is_told_to_a_callable_of_the_project():
    assert str(HookError("no connection within 5 s")) == "no connection within 5 s"
