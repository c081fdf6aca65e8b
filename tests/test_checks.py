import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from doh.checks import TAG
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
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name, value, settings):
    setattr(settings, name, value)
    assert any(name in message.msg for message in run_checks(tags=[TAG]))


def test_a_text_where_labels_are_wanted_is_refused_at_once(settings):
    with pytest.raises(HookConfigurationError, match=r"must be a list of 'app\.Model' labels"):
        settings.HOOK_ALLOWED_MODELS = "app.Vehicle"


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
