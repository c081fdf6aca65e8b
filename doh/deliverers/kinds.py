"""What the two kinds of deliverer let a project override."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeVar

import requests

from doh.payloads import dump_json
from doh.querysets import HookQuerySet

#: How a collection deliverer's hooks are sent: as the element setting says, or by eventlet.
Transport = Literal["element", "eventlet"]

F = TypeVar("F", bound=Callable[..., Any])


class CollectionDeliverer:
    """Finds the hooks of an event and sees every one of them served."""

    transport: ClassVar[Transport] = "element"

    def dump_payload(self, payload: Any) -> str:
        """The payload as JSON text; runs once, when the event is recorded."""
        return dump_json(payload)

    def after_deliver(self, hooks: HookQuerySet) -> None:
        """Runs when every hook of the event has had its first outcome; ``hooks`` is lazy."""


class ElementDeliverer:
    """Sends one payload to one target."""

    def after_deliver(self, response: requests.Response) -> None:
        """Runs on every HTTP response, after its outcome is written.

        ``response.url`` is the stored target. What it raises is logged and never re-sends.
        """


def built_in(function: F) -> F:
    """Mark a ``deliver`` or ``delay`` whose work the engine does itself, for many hooks at once."""
    function.built_in = True  # type: ignore[attr-defined]
    return function


def wants_result(kind: type[CollectionDeliverer]) -> bool:
    """Whether a class has a result hook of its own."""
    return kind.after_deliver is not CollectionDeliverer.after_deliver


def wants_response(kind: type[ElementDeliverer]) -> bool:
    """Whether a class looks at responses."""
    return kind.after_deliver is not ElementDeliverer.after_deliver


def watcher_of(kind: type[ElementDeliverer] | None) -> type[ElementDeliverer] | None:
    """The class, if it looks at responses."""
    return kind if kind is not None and wants_response(kind) else None
