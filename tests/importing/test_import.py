"""`doh_import` on tables that the real packages made and filled."""

import os
import subprocess
import sys
from io import StringIO
from uuid import uuid4

import dj_database_url
import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.backends.base.base import NO_DB_ALIAS

from doh.importing import foreign
from doh.models import Hook
from doh.wire.signing import signing_key
from tests.importing.events import HOOK_EVENTS
from tests.workers import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

REST_HOOKS, DJANGO_WEBHOOK = "rest-hooks", "django-webhook"


@pytest.fixture(scope="module")
def filled(tmp_path_factory, django_db_setup, django_db_blocker):
    """A database that both packages have worked in, on the tests' own server if they have one."""
    if connection.vendor == "sqlite":
        yield _fill(f"sqlite:///{tmp_path_factory.mktemp('foreign') / 'db.sqlite3'}")
        return
    name = f"foreign_{uuid4().hex}"
    given = dj_database_url.parse(os.environ["DATABASE_URL"])["NAME"]
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield _fill(os.environ["DATABASE_URL"].removesuffix(given) + name)
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        force = " WITH (FORCE)" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP DATABASE {name}{force}")


def _fill(url):
    environment = os.environ | {"FOREIGN_DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", "tests.importing.fill"]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    return url


@pytest.fixture
def source(filled, settings):
    """Its alias here, and the settings and users that the project had."""
    settings.HOOK_EVENTS = HOOK_EVENTS
    for pk, name in ((1, "ada"), (2, "eve")):
        get_user_model().objects.create(pk=pk, username=name)
    connections.settings["old"] = connections.settings["other"] | dj_database_url.parse(filled)
    # Django lets a test use the databases that were there when it began; this name is exempt.
    connections["old"].alias = NO_DB_ALIAS
    yield "old"
    connections["old"].close()
    del connections["old"], connections.settings["old"]


def take(package, **options):
    out = StringIO()
    call_command("doh_import", package, stdout=out, **options)
    return out.getvalue()


def hooks():
    return {
        (hook.user.username, hook.content_type.model, hook.action, hook.target)
        for hook in Hook.objects.all()
    }


CREATED, CHANGED, CRASHED, DELETED, EVES = (
    ("ada", "vehicle", "created", "https://example.com/added"),
    ("ada", "vehicle", "changed", "https://example.com/changed"),
    ("ada", "vehicle", "crashed", "https://example.com/crashed"),
    ("ada", "depot", "deleted", "https://example.com/gone"),
    ("eve", "vehicle", "created", "https://example.com/eve"),
)


def test_rest_hooks_become_hooks_on_every_object_of_the_model(source):
    said = take(REST_HOOKS, database=source)
    assert hooks() == {CREATED, CHANGED, CRASHED, EVES}
    assert "4 imported, 1 were there already, 5 skipped." in said
    assert all(hook.object_id is None and hook.is_enabled for hook in Hook.objects.all())


def test_what_is_skipped_is_named_with_the_mend(source):
    said = take(REST_HOOKS, database=source)
    for words in (
        "HOOK_MAY_RECEIVE, and give --all-objects (hook 5)",
        "'lost.Thing' is no installed model (hook 6)",
        "send it with hook_event instead (hook 7)",
        "HOOK_EVENTS has no 'forgotten'",
        "must start with http:// or https://. (hook 9)",
    ):
        assert words in said


def test_hooks_of_an_objects_owner_hear_of_all_objects_only_when_that_is_wanted(source):
    take(REST_HOOKS, database=source, all_objects=True)
    assert DELETED in hooks()


@pytest.mark.parametrize("options", [{}, {"all_objects": True}])
def test_importing_again_changes_nothing(source, options):
    take(REST_HOOKS, database=source, **options)
    before = hooks()
    secrets = set(Hook.objects.values_list("secret", flat=True))
    assert "0 imported" in take(REST_HOOKS, database=source, **options)
    assert hooks() == before
    assert set(Hook.objects.values_list("secret", flat=True)) == secrets


def test_importing_again_needs_no_key_of_what_is_encrypted(source, settings):
    take(REST_HOOKS, database=source)
    Hook.objects.all()[:1].get().rotate_secret()
    settings.SECRET_KEY = "another"
    assert " 0 imported" in f" {take(REST_HOOKS, database=source)}"


def test_a_dry_run_tells_the_same_and_writes_nothing(source):
    assert "4 would be imported" in take(REST_HOOKS, database=source, dry_run=True)
    assert hooks() == set()


def test_small_chunks_come_to_the_same(source, monkeypatch):
    monkeypatch.setattr(foreign, "CHUNK", 2)
    said = take(REST_HOOKS, database=source)
    assert said.count(" read, ") == 5
    assert hooks() == {CREATED, CHANGED, CRASHED, EVES}


def test_a_users_hooks_are_skipped_where_the_user_is_not(source):
    get_user_model().objects.filter(username="eve").delete()
    assert "there is no user 2 here" in take(REST_HOOKS, database=source)
    assert EVES not in hooks()


def test_models_whose_saves_are_no_events_yet_are_named(source, settings):
    settings.HOOK_ALLOWED_MODELS = []
    assert "add to HOOK_ALLOWED_MODELS app.Vehicle." in take(REST_HOOKS, database=source)


def test_webhooks_become_one_hook_per_topic_of_the_user_that_is_named(source):
    said = take(DJANGO_WEBHOOK, database=source, user="eve")
    assert hooks() == {
        ("eve", "vehicle", "created", "https://example.com/first"),
        ("eve", "vehicle", "changed", "https://example.com/first"),
        ("eve", "vehicle", "deleted", "https://example.com/first"),
        ("eve", "depot", "deleted", "https://example.com/second"),
    }
    assert "it has no topic (webhook 3)" in said
    assert "0 imported, 4 were there already" in take(DJANGO_WEBHOOK, database=source, user="eve")


def test_a_webhook_that_was_not_active_is_imported_disabled(source):
    take(DJANGO_WEBHOOK, database=source, user="eve")
    off = Hook.objects.get(target="https://example.com/second")
    assert (off.is_enabled, off.disabled_reason) == (False, "imported: it was not active")


def test_the_newest_token_is_the_key_that_hooks_are_signed_with(source):
    take(DJANGO_WEBHOOK, database=source, user="eve")
    secrets = {hook.secret for hook in Hook.objects.filter(target="https://example.com/first")}
    (secret,) = secrets
    key = signing_key(secret)
    assert key == b"the token that is in use now"


def test_a_token_that_is_too_short_to_sign_with_is_replaced_and_named(source):
    said = take(DJANGO_WEBHOOK, database=source, user="eve")
    assert "a fresh secret, since the token has not 24 to 64 bytes (webhook 2" in said
    hook = Hook.objects.get(target="https://example.com/second")
    hook.full_clean()
    assert len(signing_key(hook.secret)) == 32


def test_a_table_that_is_not_there_is_named(db, settings):
    settings.HOOK_EVENTS = {}
    with pytest.raises(CommandError, match="no table 'rest_hooks_hook' in the database 'default'"):
        take(REST_HOOKS)


def test_an_owner_that_is_not_there_is_named(source):
    with pytest.raises(CommandError, match="no user 'nobody'"):
        take(DJANGO_WEBHOOK, database=source, user="nobody")
