"""System checks: what would keep hooks from firing, said before it does."""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from ssl import create_default_context
from typing import Any

from django.apps import apps
from django.core import checks
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's own names

from doh import conf, egress
from doh.deliverers import resolve
from doh.exceptions import HookConfigurationError
from doh.permission import may_receive

TAG = "doh"
_READERS: tuple[Callable[[], object], ...] = (
    conf.allowed_models,
    conf.collection_deliverer,
    conf.element_deliverer,
    conf.retry_schedule,
    conf.warn_after,
    conf.disable_after,
    conf.connect_timeout,
    conf.total_timeout,
    conf.lease,
    conf.queue_lease,
    conf.batch_size,
    conf.slice_size,
    conf.max_in_flight,
    conf.max_in_flight_per_host,
    conf.rate_limit,
    conf.circuit_breaker,
    conf.slow_after,
    conf.eventlet_concurrency,
    conf.doorbell_period,
    conf.ring_timeout,
    conf.redis_url,
    conf.deliver_where_collected,
    conf.keep_days,
    conf.metrics_listen,
    conf.heartbeat_path,
    conf.encryption_keys,
    conf.hub_signature,
    conf.may_receive,
    egress.policy,
)


def register() -> None:
    """Register the checks."""
    checks.register(check_settings, TAG)
    checks.register(check_names, TAG)
    checks.register(check_models, TAG)
    checks.register(check_deliverers, TAG)
    checks.register(check_may_receive, TAG)
    checks.register(check_celery, TAG)
    checks.register(check_telemetry, TAG)
    checks.register(check_eventlet, TAG)
    checks.register(check_authorities, TAG)
    checks.register(check_encryption, TAG, deploy=True)
    checks.register(check_transport, TAG, deploy=True)


def check_settings(**_: Any) -> list[CheckMessage]:
    """Every setting can be read."""
    return [
        Error(str(error), hint="See the table of settings in the README.", id="doh.E001")
        for error in _errors(_READERS)
    ]


def check_names(**_: Any) -> list[CheckMessage]:
    """No setting is misspelt: nobody would read it."""
    return [
        Warning(
            f"There is no setting {name}: nobody reads it.",
            hint=f"Did you mean {near}?",
            id="doh.W006",
        )
        for name, near in conf.misspelt().items()
    ]


def check_models(**_: Any) -> list[CheckMessage]:
    """Every allowed model exists."""
    found: list[CheckMessage] = []
    if not _usable(conf.allowed_models):
        return found
    known = {model._meta.label for model in apps.get_models()}
    for label in conf.allowed_models():
        try:
            apps.get_model(label)
        except (LookupError, ValueError):
            near = get_close_matches(label, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Write it as 'app_label.Model'."
            message = f"HOOK_ALLOWED_MODELS names {label!r}, which is no installed model."
            found.append(Error(message, hint=hint, id="doh.E002"))
    return found


def check_deliverers(**_: Any) -> list[CheckMessage]:
    """Both deliverers can be imported and called, and are of their kind."""
    found: list[CheckMessage] = []
    for name, read, resolved, kind in (
        ("HOOK_COLLECTION_DELIVERER", conf.collection_deliverer, resolve.collection, "Hooks"),
        ("HOOK_ELEMENT_DELIVERER", conf.element_deliverer, resolve.element, "Hook"),
    ):
        if not _usable(read):
            continue
        hint = f"Name deliver or delay of a {kind}Deliverer, or a callable, by its dotted path."
        found += [
            Error(f"{name}: {error}", hint=hint, id="doh.E003") for error in _errors([resolved])
        ]
    return found


def check_may_receive(**_: Any) -> list[CheckMessage]:
    """The rule about who may receive can be imported and called."""
    if not _usable(conf.may_receive):
        return []
    return [
        Error(str(error), hint="Name a callable by its dotted path.", id="doh.E008")
        for error in _errors([may_receive])
    ]


def check_celery(**_: Any) -> list[CheckMessage]:
    """Where Celery delivers, its settings can do that."""
    if not _usable(resolve.collection, resolve.element, conf.redis_url, conf.lease):
        return []
    if not resolve.collection().queued and not resolve.element().queued:
        return []
    from doh.deliverers.celery import survey

    found = survey()
    messages: list[CheckMessage] = []
    if not found.broker:
        messages.append(
            Error(
                "The deliverers are queued, but Celery has no broker.",
                hint="Set broker_url, and import your Celery app in the project's __init__.py.",
                id="doh.E004",
            )
        )
    if found.visibility_timeout is not None and found.visibility_timeout < conf.lease():
        messages.append(
            Error(
                f"The broker hands a message out again after {found.visibility_timeout:g} s, which"
                f" is sooner than a lease ends ({conf.lease():g} s).",
                hint="Raise visibility_timeout in broker_transport_options above HOOK_LEASE.",
                id="doh.E005",
            )
        )
    if not found.redis:
        messages.append(
            Warning(
                "There is no Redis for the doorbell: every commit publishes a message.",
                hint="Set HOOK_REDIS_URL.",
                id="doh.W001",
            )
        )
    if not found.results:
        messages.append(
            Warning(
                "Celery has no result_backend: batches are sent without chords.",
                hint="Set result_backend to a Redis URL.",
                id="doh.W002",
            )
        )
    if not found.sweep:
        messages.append(
            Warning(
                "Beat has no entry for the sweep: an event whose message is lost waits for ever.",
                hint="Set beat_schedule = doh_tasks.queues.beat_schedule(), and run beat.",
                id="doh.W003",
            )
        )
    return messages


def check_telemetry(**_: Any) -> list[CheckMessage]:
    """What telemetry needs is installed."""
    if not conf.telemetry() or find_spec("opentelemetry") is not None:
        return []
    return [
        Error(
            "HOOK_TELEMETRY or HOOK_METRICS_LISTEN is set, but OpenTelemetry is not installed.",
            hint="pip install django-object-hooks[otel]",
            id="doh.E010",
        )
    ]


def check_eventlet(**_: Any) -> list[CheckMessage]:
    """What an eventlet deliverer needs is installed."""
    if not _usable(resolve.collection) or find_spec("eventlet") is not None:
        return []
    kind = resolve.collection().kind
    if kind is None or kind.transport != "eventlet":
        return []
    return [
        Error(
            "HOOK_COLLECTION_DELIVERER sends by eventlet, which is not installed.",
            hint="pip install django-object-hooks[eventlet]",
            id="doh.E011",
        )
    ]


def check_authorities(**_: Any) -> list[CheckMessage]:
    """The certificate authorities to trust can be read."""
    bundle = conf.ca_bundle()
    if bundle is None:
        return []
    try:
        create_default_context(cafile=bundle)
    except OSError as error:
        return [
            Error(
                f"HOOK_CA_BUNDLE {bundle!r} can't be read: {error}.",
                hint="Name a PEM file with the certificates to trust.",
                id="doh.E012",
            )
        ]
    return []


def check_encryption(**_: Any) -> list[CheckMessage]:
    """Secrets have keys of their own."""
    if not _usable(conf.encryption_keys) or conf.encryption_keys():
        return []
    return [
        Error(
            "Secrets of hooks are encrypted with a key derived from SECRET_KEY: whoever learns"
            " that one reads them, and it can't be changed without them.",
            hint="Set HOOK_ENCRYPTION_KEYS to a list of Fernet keys, and run doh_rotate_keys.",
            id="doh.E009",
        )
    ]


def check_transport(**_: Any) -> list[CheckMessage]:
    """What is sent is encrypted on its way."""
    if not _usable(conf.allow_http) or not conf.allow_http():
        return []
    return [
        Warning(
            "Targets may start with http://: payloads and custom headers travel in the clear.",
            hint="Set HOOK_ALLOW_HTTP = False unless some receiver can't do https.",
            id="doh.W005",
        )
    ]


def _usable(*readers: Callable[[], object]) -> bool:
    """Whether all of them can be read; what can't be is another check's to tell."""
    return not list(_errors(readers))


def _errors(readers: Sequence[Callable[[], object]]) -> Iterator[HookConfigurationError]:
    for read in readers:
        try:
            read()
        except HookConfigurationError as error:
            yield error
