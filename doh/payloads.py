"""What an event says: a payload dumped at once, or the snapshot that it is rendered from later."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from dataclasses import field as part
from decimal import Decimal
from functools import lru_cache
from itertools import count
from types import FunctionType, MethodType
from typing import Any

import ujson
from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction

from doh.exceptions import PayloadError, reason_of

#: Turns a payload into JSON text.
Dump = Callable[[Any], str]

EMPTY = "{}"
_encoder = DjangoJSONEncoder()


@dataclass(frozen=True, slots=True)
class Content:
    """The body of an event: ``payload`` is JSON text for every hook; None means that it is
    rendered per hook from ``snapshot``; ``error`` says why there is neither."""

    payload: str | None = part(default=None, repr=False)
    snapshot: str | None = part(default=None, repr=False)
    error: str = part(default="", repr=False)


def dump_json(payload: Any) -> str:
    """A payload as JSON: ujson, with Django's forms for dates, UUIDs, decimals and promises."""
    return ujson.dumps(
        _exact(payload), default=_plain, escape_forward_slashes=False, allow_nan=False
    )


def _exact(value: Any) -> Any:
    """The value with its decimals as text: ujson would make floats of them before asking."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, models.Model):
        return value.pk
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, set | frozenset):
        return _exact(list(value))
    if isinstance(value, models.fields.files.FieldFile):
        return value.name
    return _encoder.default(value)


def compose(instance: models.Model, payload: Any, dump: Dump, using: str) -> Content:
    """The content of an event at this moment.

    The project's code runs in a savepoint: what fails in it is written down with the event and
    never reaches the caller, nor spoils the caller's transaction.
    """
    try:
        with _savepoint(using):
            return _compose(instance, payload, dump, using)
    except Exception as error:  # noqa: BLE001 - project code; the event carries the reason
        return Content(error=f"the payload failed: {reason_of(error)}")


@contextmanager
def _savepoint(using: str) -> Iterator[None]:
    """A savepoint where there is a transaction to protect, from the first query on.

    Most payload methods make none, and a savepoint takes as long as an INSERT.
    """
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block:
        yield
        return
    with ExitStack() as stack:
        queries = count()

        def protect(execute: Any, *call: Any) -> Any:
            if next(queries) == 0:
                stack.enter_context(transaction.atomic(using=using))
            return execute(*call)

        with connection.execute_wrapper(protect):
            yield


def _compose(instance: models.Model, payload: Any, dump: Dump, using: str) -> Content:
    if payload is not None:
        return Content(payload=_storable(payload if isinstance(payload, str) else dump(payload)))
    instance = _evaluated(instance, using)
    static = getattr(instance, "get_static_payload", None)
    if callable(static):
        return Content(payload=_storable(dump(_call_static(static))))
    if callable(getattr(instance, "get_dynamic_payload", None)):
        return Content(snapshot=take_snapshot(instance))
    return Content(payload=EMPTY)


def _evaluated(instance: models.Model, using: str) -> models.Model:
    """The instance; a copy with their values where it still holds expressions such as ``F()``."""
    names = [
        field.attname
        for field in instance._meta.concrete_fields
        if hasattr(instance.__dict__.get(field.attname), "resolve_expression")
    ]
    if not names:
        return instance
    saved = copy(instance)
    saved.refresh_from_db(using=using, fields=names)
    return saved


def _storable(text: Any) -> str:
    """What ``dump_payload`` gave, as text that every database and the wire can take."""
    if isinstance(text, bytes):
        text = text.decode()
    if not isinstance(text, str):
        raise PayloadError(f"dump_payload must return a str, not {type(text).__name__}")
    text.encode()
    if "\0" in text:
        raise PayloadError("dump_payload must not return NUL characters")
    return text


def _call_static(method: Callable[..., Any]) -> Any:
    """Call it with the second parameter ``hook`` as None where the model's method has one."""
    if isinstance(method, MethodType) and isinstance(method.__func__, FunctionType):
        # To read a signature takes long. A method is a new object each time, its function is not.
        takes_hook = _needs(method.__func__) > 1
    else:
        takes_hook = _needs.__wrapped__(method) > 0
    return method(None) if takes_hook else method()


@lru_cache(maxsize=1_024)
def _needs(function: Callable[..., Any]) -> int:
    """How many arguments in their order a callable can't be called without."""
    try:
        return sum(
            parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            for parameter in inspect.signature(function).parameters.values()
        )
    except (TypeError, ValueError):
        return 0


def take_snapshot(instance: models.Model) -> str:
    """The instance's own columns as JSON text; see `restore_snapshot`."""
    values = {}
    for field in instance._meta.concrete_fields:
        try:
            value = field.value_from_object(instance)
        except ObjectDoesNotExist:
            continue  # A deferred field of an object that was deleted.
        if isinstance(field, models.JSONField):
            values[field.attname] = value
        else:
            values[field.attname] = None if value is None else field.value_to_string(instance)
    return dump_json(values)


def restore_snapshot(label: str, snapshot: str, using: str) -> models.Model:
    """The instance as it was; saving it would write the past back."""
    model = apps.get_model(label)
    values = ujson.loads(snapshot)
    names, row = [], []
    for field in model._meta.concrete_fields:
        if field.attname in values:
            value = values[field.attname]
            keep = value is None or isinstance(field, models.JSONField)
            names.append(field.attname)
            row.append(value if keep else field.to_python(value))
    instance: models.Model = model.from_db(using, names, row)
    return instance


def render(instance: models.Model, hook: models.Model, dump: Dump) -> str:
    """The dynamic payload for one hook; raises `PayloadError` with the reason if it fails."""
    try:
        return _storable(dump(instance.get_dynamic_payload(hook)))  # type: ignore[attr-defined]
    except Exception as error:
        raise PayloadError(f"the payload failed: {reason_of(error)}") from error
