from pathlib import Path
from re import findall

import certifi
import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from doh import conf
from doh.checks import TAG
from doh.conf.names import NAMES
from doh.deliverers import celery
from doh.exceptions import HookConfigurationError
from tests.celery_app import app

TASK = "doh.deliverers.deliver_hooks_using_task"


def found(**options):
    return {message.id: message for message in run_checks(tags=[TAG], **options)}


@pytest.fixture
def queued(settings, monkeypatch):
    """A project that delivers by Celery, whose app can be bent."""
    app.set_default()
    settings.HOOK_COLLECTION_DELIVERER = TASK
    monkeypatch.setitem(app.conf, "broker_url", "redis://127.0.0.1:1/0")
    monkeypatch.setitem(app.conf, "result_backend", "redis://127.0.0.1:1/0")
    return lambda name, value: monkeypatch.setitem(app.conf, name, value)


def test_a_sound_project_passes():
    assert found() == {}


def test_a_sound_project_with_celery_passes(queued):
    assert found() == {}


@pytest.mark.parametrize(
    ("label", "hint"),
    [
        ("app.Vehicel", "Did you mean 'app.Vehicle'?"),
        ("nonsense", "Write it as 'app_label.Model'."),
    ],
)
def test_an_unknown_model_is_named(label, hint, settings):
    settings.HOOK_ALLOWED_MODELS = ["app.Vehicle", label]
    message = found()["doh.E002"]
    assert label in message.msg
    assert message.hint == hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOOK_RETRY_SCHEDULE", []),
        ("HOOK_RETRY_SCHEDULE", [0, -1]),
        ("HOOK_TOTAL_TIMEOUT", 0),
        ("HOOK_TOTAL_TIMEOUT", "15"),
        ("HOOK_LEASE", 15),
        ("HOOK_BATCH_SIZE", 0.5),
        ("HOOK_BATCH_SIZE", True),
        ("HOOK_ELEMENT_DELIVERER", None),
        ("HOOK_REDIS_URL", "localhost:6379"),
        ("HOOK_ALLOW_HTTP", "no"),
        ("HOOK_DELIVER_WHERE_COLLECTED", "no"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name, value, settings, queued):
    setattr(settings, name, value)
    messages = run_checks(tags=[TAG], include_deployment_checks=True)
    assert any(name in message.msg for message in messages)


@pytest.mark.parametrize("value", ["app.Vehicle", None, [5]])
def test_what_is_no_list_of_labels_is_refused_at_once(value, settings):
    with pytest.raises(HookConfigurationError, match=r"must be a list of 'app\.Model' labels"):
        settings.HOOK_ALLOWED_MODELS = value


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HOOK_ALLOWED_MODEL", "HOOK_ALLOWED_MODELS"),
        ("HOOKS_ALLOWED_MODELS", "HOOK_ALLOWED_MODELS"),
        ("HOOK_COLLECTION_DELIVERERS", "HOOK_COLLECTION_DELIVERER"),
    ],
)
def test_a_misspelt_setting_is_named(name, meant, settings):
    setattr(settings, name, "anything")
    assert name in found()["doh.W006"].msg
    assert found()["doh.W006"].hint == f"Did you mean {meant}?"


@pytest.mark.parametrize(
    "name", ["HOOK_EVENTS", "HOOK_FINDER", "HOOK_DELIVERER", "HOOK_CUSTOM_MODEL", "HOOK_SERIALIZER"]
)
def test_a_setting_of_another_package_is_none_of_ours(name, settings):
    setattr(settings, name, {})
    assert found() == {}


def test_the_readme_has_every_setting_and_no_other():
    table = (Path(__file__).parent.parent / "README.md").read_text().split("## Settings")[1]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `HOOK_")]
    code = "".join(path.read_text() for path in Path(conf.__file__).parent.glob("*.py"))
    assert set(findall(r"HOOK_\w+", "".join(rows))) == NAMES
    assert set(findall(r'"(HOOK_\w+)"', code)) - {"HOOK_EVENTS"} == NAMES


@pytest.mark.parametrize("path", ["no.such.thing", "tests.project.no_callable", "a:b:c"])
@pytest.mark.parametrize("name", ["HOOK_COLLECTION_DELIVERER", "HOOK_ELEMENT_DELIVERER"])
def test_a_deliverer_that_cannot_be_used_is_named(name, path, settings):
    setattr(settings, name, path)
    message = found()["doh.E003"].msg
    assert message.startswith(name)
    assert path in message


def test_queued_deliverers_need_a_broker(queued):
    queued("broker_url", None)
    assert "doh.E004" in found()


def test_a_visibility_timeout_must_outlast_a_lease(queued):
    queued("broker_transport_options", {"visibility_timeout": 10})
    assert "10 s" in found()["doh.E005"].msg


def test_the_doorbell_wants_redis(queued, settings):
    queued("broker_url", "amqp://127.0.0.1//")
    queued("result_backend", "rpc://")
    assert "doh.W001" in found()
    settings.HOOK_REDIS_URL = "redis://127.0.0.1:1/0"
    assert "doh.W001" not in found()


def test_chords_want_results(queued):
    queued("result_backend", None)
    assert "doh.W002" in found()


def test_a_sweep_is_missed_where_the_schedule_is_known(queued):
    queued("beat_schedule", {})
    assert "doh.W003" in found()
    queued("beat_scheduler", "django_celery_beat.schedulers:DatabaseScheduler")
    assert "doh.W003" not in found()


def test_a_deployment_wants_keys_of_its_own(settings):
    with pytest.raises(SystemCheckError, match=r"doh\.E009"):
        call_command("check", deploy=True, tags=[TAG])
    settings.HOOK_ENCRYPTION_KEYS = ["k" * 43 + "="]
    assert set(found(include_deployment_checks=True)) == {"doh.W005"}


def test_a_deployment_is_warned_of_targets_in_the_clear(settings):
    settings.HOOK_ENCRYPTION_KEYS = ["k" * 43 + "="]
    warning = found(include_deployment_checks=True)["doh.W005"]
    assert "HOOK_ALLOW_HTTP = False" in warning.hint
    settings.HOOK_ALLOW_HTTP = False
    assert found(include_deployment_checks=True) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOOK_ALLOWED_NETWORKS", "10.0.0.0/8"),
        ("HOOK_ALLOWED_NETWORKS", ["10.0.0.1/8"]),
        ("HOOK_ALLOWED_NETWORKS", ["localhost"]),
        ("HOOK_ALLOWED_PORTS", 443),
        ("HOOK_ALLOWED_PORTS", ["443"]),
        ("HOOK_ALLOWED_PORTS", [True]),
        ("HOOK_ALLOWED_PORTS", [0]),
        ("HOOK_ALLOWED_PORTS", range(70_000)),
        ("HOOK_DENIED_HOSTS", "example.com"),
        ("HOOK_DENIED_HOSTS", ["a b"]),
        ("HOOK_DENIED_HOSTS", ["*.example.com"]),
        ("HOOK_EGRESS_PROXY", "proxy.example.com:3128"),
        ("HOOK_EGRESS_PROXY", "socks5://user:marked@proxy"),
    ],
)
def test_a_setting_of_the_guard_that_cannot_be_used_is_named(name, value, settings):
    setattr(settings, name, value)
    message = found()["doh.E001"].msg
    assert message.startswith(name)
    assert "marked" not in message


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("one text", "must be a list"),
        (["k" * 43 + "=", "secretish"], "HOOK_ENCRYPTION_KEYS[1]"),
        ([b"secretish"], "HOOK_ENCRYPTION_KEYS[0]"),
        ([None], "HOOK_ENCRYPTION_KEYS[0]"),
        (["k" * 45], "HOOK_ENCRYPTION_KEYS[0]"),
        (["\u00e9" * 44], "HOOK_ENCRYPTION_KEYS[0]"),
    ],
)
def test_an_encryption_key_that_is_none_is_named_by_its_place(value, said, settings):
    settings.HOOK_ENCRYPTION_KEYS = value
    message = found(include_deployment_checks=True)["doh.E001"]
    assert said in message.msg
    assert "secretish" not in message.msg


def test_an_eventlet_deliverer_needs_its_package(settings, monkeypatch):
    settings.HOOK_COLLECTION_DELIVERER = "doh.deliverers.deliver_hooks_using_eventlet_task"
    monkeypatch.setattr("doh.checks.find_spec", lambda _name: None)
    assert "[eventlet]" in found()["doh.E011"].hint


def test_authorities_that_cannot_be_read_are_named(settings, tmp_path):
    settings.HOOK_CA_BUNDLE = str(tmp_path / "none.pem")
    assert "none.pem" in found()["doh.E012"].msg
    (tmp_path / "none.pem").write_text("no certificate")
    assert "none.pem" in found()["doh.E012"].msg
    settings.HOOK_CA_BUNDLE = certifi.where()
    assert found() == {}


@pytest.mark.parametrize("name", ["HOOK_TELEMETRY", "HOOK_METRICS_LISTEN"])
def test_telemetry_needs_its_package(name, settings, monkeypatch):
    setattr(settings, name, "127.0.0.1:9810")
    assert found() == {}
    monkeypatch.setattr("doh.checks.find_spec", lambda _name: None)
    assert "[otel]" in found()["doh.E010"].hint


def test_the_migrations_are_complete(db):
    call_command("makemigrations", "doh", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(
    ("url", "redis"),
    [
        ("redis://a/0", "redis://a/0"),
        ("rediss://a/0;rediss://b/0", "rediss://a/0"),
        ("amqp://a//", "redis://results/1"),
    ],
)
def test_the_doorbell_lives_where_celery_has_a_redis(url, redis, queued):
    queued("broker_url", url)
    queued("result_backend", "redis://results/1")
    assert celery.redis_url(app) == redis
