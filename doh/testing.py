"""For the tests of your project: see what would have been sent, though nothing commits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ujson
from django.db import models

from doh.outbox import Captured, capturing
from doh.payloads import dump_json

_ANY: Any = object()


class CapturedHooks(list[Captured]):
    """The events of a `capture_hooks` block that at least one enabled hook listens to."""

    def matching(
        self, instance: models.Model | None = None, action: str | None = None, payload: Any = _ANY
    ) -> list[Captured]:
        """Those of one object, of one action, with one payload (compared as JSON values)."""
        return [
            one
            for one in self
            if (instance is None or _is_of(one, instance))
            and (action is None or one.action == action)
            and (payload is _ANY or one.loaded() == _as_json(payload))
        ]

    def assert_sent(
        self,
        instance: models.Model | None = None,
        action: str | None = None,
        *,
        payload: Any = _ANY,
        times: int | None = None,
    ) -> None:
        """Fail unless such an event was captured: at least once, or exactly ``times``."""
        number = len(self.matching(instance, action, payload))
        if number == times or (times is None and number > 0):
            return
        wanted = "at least one" if times is None else str(times)
        raise AssertionError(
            f"Expected {wanted} of {_describe(instance, action, payload)}, found {number}."
            f" {self._summary()}"
        )

    def assert_not_sent(
        self, instance: models.Model | None = None, action: str | None = None
    ) -> None:
        """Fail if such an event was captured."""
        self.assert_sent(instance, action, times=0)

    def _summary(self) -> str:
        if not self:
            return "Nothing was captured: does an enabled hook listen, and is the model allowed?"
        lines = "".join(
            f"\n  {one.app_label}.{one.object_name} {one.instance_pk} {one.action}"
            f" to {len(one.hooks)} hook(s): {one.payload or 'rendered per hook'}"
            for one in self
        )
        return f"Captured:{lines}"


@contextmanager
def capture_hooks() -> Iterator[CapturedHooks]:
    """Capture events instead of recording and sending them.

    A Django ``TestCase`` rolls back instead of committing, so hooks never fire in it. Inside
    this block every event that a hook listens to is kept in the list that it gives::

        with capture_hooks() as sent:
            bus.save()
        sent.assert_sent(bus, action="changed", times=1)
    """
    captured = CapturedHooks()
    token = capturing.set(captured)
    try:
        yield captured
    finally:
        capturing.reset(token)


def _is_of(captured: Captured, instance: models.Model) -> bool:
    if captured.instance is instance:
        return True  # Django takes the key from an instance that was deleted.
    meta = instance._meta.concrete_model._meta if instance._meta.concrete_model else instance._meta
    return (captured.app_label, captured.object_name, captured.instance_pk) == (
        meta.app_label,
        meta.object_name,
        instance.pk,
    )


def _as_json(payload: Any) -> Any:
    return ujson.loads(payload if isinstance(payload, str) else dump_json(payload))


def _describe(instance: models.Model | None, action: str | None, payload: Any) -> str:
    parts = [
        "an event" if instance is None else f"{instance._meta.label} {instance.pk}",
        action or "any action",
    ]
    if payload is not _ANY:
        parts.append(f"with {payload!r}")
    return ", ".join(parts)
