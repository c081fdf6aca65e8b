"""``manage.py doh_rotate_keys``: encrypted columns move to the newest key."""

from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from doh import rekeying
from doh.fields import encrypt, is_newest
from doh.management.progress import Progress
from doh.models import Hook
from tests.app.models import Vehicle

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def rotate(**options):
    out = StringIO()
    call_command("doh_rotate_keys", stdout=out, **options)
    return out.getvalue().splitlines()


def tokens(column="secret"):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM doh_hook WHERE {column} IS NOT NULL ORDER BY id")
        return [token for (token,) in cursor.fetchall()]


@pytest.fixture
def hooks(hook_on, settings):
    """Five hooks under the old key, one with an old secret too; the new key is in use."""
    settings.HOOK_ENCRYPTION_KEYS = [OLD]
    bus = Vehicle.objects.create(name="55")
    made = [hook_on(bus, headers={"X-Token": "t"}) for _ in range(5)]
    made[0].rotate_secret()
    settings.HOOK_ENCRYPTION_KEYS = [NEW, OLD]
    return made


def test_every_encrypted_column_is_known():
    assert {"Hook.secret", "Hook.old_secrets", "Hook.headers"} <= set(
        map(str, rekeying.encrypted_columns())
    )


def test_the_old_key_can_go_after_it(hooks, settings, capsys):
    lines = rotate(step=2)
    assert "Hook.secret: 5 written under the newest key." in lines
    assert "Hook.headers: 5 written under the newest key." in lines
    assert "Hook.old_secrets: 1 written under the newest key." in lines
    assert "Hook.secret: 5/5 (100%)" in capsys.readouterr().err
    settings.HOOK_ENCRYPTION_KEYS = [NEW]
    for hook in Hook.objects.all():
        before = hooks[[one.pk for one in hooks].index(hook.pk)]
        assert (hook.secret, hook.old_secrets) == (before.secret, before.old_secrets)
        assert hook.headers == {"X-Token": "t"}


def test_a_second_run_writes_nothing(hooks):
    rotate()
    before = tokens()
    assert "Hook.secret: 0 written under the newest key." in rotate()
    assert tokens() == before


def test_a_run_that_was_cut_short_goes_on_where_it_ended(hooks, monkeypatch):
    plain, calls = rekeying._step, []

    def cut(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return plain(*args)

    monkeypatch.setattr(rekeying, "_step", cut)
    with pytest.raises(KeyboardInterrupt):
        rotate(step=2)
    assert [is_newest(token) for token in tokens()] == [True, True, False, False, False]
    monkeypatch.undo()
    assert "Hook.secret: 3 written under the newest key." in rotate(step=2)


def test_what_changes_meanwhile_is_left_as_it_was_changed(hooks, monkeypatch):
    plain = rekeying.reencrypt
    changed = []

    def change_first(token):
        if not changed:
            changed.append(Hook.objects.get(pk=hooks[0].pk).rotate_secret())
        return plain(token)

    monkeypatch.setattr(rekeying, "reencrypt", change_first)
    assert "Hook.secret: 4 written under the newest key." in rotate()
    assert Hook.objects.get(pk=hooks[0].pk).secret == changed[0]


def test_what_no_key_opens_is_named_and_stops_nothing(hooks):
    lost = hooks[1]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE doh_hook SET secret = 'lost' WHERE id = %s", [lost.pk])
    with pytest.raises(CommandError, match=f"Hook.secret of {lost.pk}. Put the key") as error:
        rotate()
    assert "gAAAA" not in str(error.value)
    assert [is_newest(token) for token in tokens()] == [True, False, True, True, True]


def test_what_was_derived_from_the_secret_key_moves_to_keys_of_its_own(hook_on, settings):
    hook = hook_on(Vehicle.objects.create(name="55"))
    settings.HOOK_ENCRYPTION_KEYS = [NEW]
    rotate()
    settings.SECRET_KEY = "another"
    assert Hook.objects.get().secret == hook.secret


def test_a_step_must_be_a_number_of_rows():
    with pytest.raises(CommandError, match="--step must be"):
        rotate(step=0)


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_terminal_shows_a_bar():
    stream = Terminal()
    progress = Progress("secrets", 4, stream)
    for _ in range(2):
        progress.advance(2)
    progress.end()
    assert stream.getvalue() == (
        f"\rsecrets [{'#' * 15}{' ' * 15}] 2/4\rsecrets [{'#' * 30}] 4/4\n"
    )


def test_nothing_to_do_is_everything_done(capsys):
    assert is_newest(encrypt("x"))
    Progress("secrets", 0).advance(0)
    assert "0/0 (100%)" in capsys.readouterr().err
