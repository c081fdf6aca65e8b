"""From the dotted paths in the settings and the ledger to the deliverers they name."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from django.core.signals import setting_changed

from doh import conf
from doh.deliverers.kinds import CollectionDeliverer, ElementDeliverer, wants_result
from doh.exceptions import HookConfigurationError, reason_of
from doh.payloads import Dump

K = TypeVar("K", CollectionDeliverer, ElementDeliverer)


@dataclass(frozen=True, slots=True)
class Deliverer(Generic[K]):
    """A resolved deliverer.

    ``kind`` is the class whose engine does the work, None for a callable of the project's own;
    ``queued`` tells that Celery workers do it.
    """

    path: str
    call: Callable[..., Any]
    kind: type[K] | None
    queued: bool


def collection() -> Deliverer[CollectionDeliverer]:
    """The deliverer that the settings name for events."""
    return collection_at(conf.collection_deliverer())


def element() -> Deliverer[ElementDeliverer]:
    """The deliverer that the settings name for single targets."""
    return element_at(conf.element_deliverer())


@lru_cache(maxsize=64)
def collection_at(path: str) -> Deliverer[CollectionDeliverer]:
    """The collection deliverer at a dotted path; raises `HookConfigurationError`."""
    return _deliverer(path, CollectionDeliverer)


@lru_cache(maxsize=64)
def element_at(path: str) -> Deliverer[ElementDeliverer]:
    """The element deliverer at a dotted path; raises `HookConfigurationError`."""
    return _deliverer(path, ElementDeliverer)


def dump_of(deliverer: Deliverer[CollectionDeliverer]) -> Dump:
    """The ``dump_payload`` that goes with a collection deliverer, made when it is called."""
    kind = deliverer.kind or CollectionDeliverer
    return lambda payload: kind().dump_payload(payload)


def dump_for(path: str) -> Dump:
    """The ``dump_payload`` of the class that an event names."""
    return dump_of(collection_at(path))


def has_result_hook(deliverer: Deliverer[CollectionDeliverer]) -> bool:
    """Whether something is to run once every hook has had its first outcome."""
    return deliverer.kind is not None and wants_result(deliverer.kind)


def uses_eventlet(path: str) -> bool:
    """Whether the deliverer that an event names sends by eventlet."""
    kind = collection_at(path).kind
    return kind is not None and kind.transport == "eventlet"


def path_of(kind: type) -> str:
    """The dotted path of a class; raises `HookConfigurationError` where it can have none."""
    path = f"{kind.__module__}.{kind.__qualname__}"
    _refuse_locals(path)
    return path


def _deliverer(path: str, base: type[K]) -> Deliverer[K]:
    target = _load(path)
    if isinstance(target, type):
        kind = _of_kind(target, base, path)
        return Deliverer(path, kind.deliver, kind, queued=False)  # type: ignore[attr-defined]
    if not callable(target):
        raise HookConfigurationError(f"{path!r} is no callable but a {type(target).__name__}.")
    owner = getattr(target, "__self__", None)
    if isinstance(owner, type) and hasattr(target, "built_in"):
        kind = _of_kind(owner, base, path)
        return Deliverer(path_of(kind), target, kind, queued=target.__name__ == "delay")
    return Deliverer(path, target, None, queued=False)


def _of_kind(found: type, base: type[K], path: str) -> type[K]:
    """The class, if it is a deliverer of this kind; any other would take events and lose them."""
    if issubclass(found, base):
        return found
    wanted = "HooksDeliverer" if base is CollectionDeliverer else "HookDeliverer"
    raise HookConfigurationError(f"{path!r} names {found.__name__}, which is no {wanted}.")


def _load(path: str) -> Any:
    _refuse_locals(path)
    try:
        return pkgutil.resolve_name(path)
    except Exception as error:
        # Any: a module may fail at its import in any way, and a save must not fail with it.
        raise HookConfigurationError(
            f"The deliverer {path!r} can't be imported: {reason_of(error)}."
        ) from error


def _refuse_locals(path: str) -> None:
    if "<locals>" in path or "__main__" in path.split("."):
        raise HookConfigurationError(
            f"The deliverer {path!r} can't be found by a worker: define it at the top level of an"
            " importable module."
        )


def forget(*, setting: str, **_: Any) -> None:
    """Resolve again after a setting changed."""
    if setting.startswith("HOOK_"):
        collection_at.cache_clear()
        element_at.cache_clear()


def follow_settings() -> None:
    """Forget what was resolved whenever a test overrides a setting."""
    setting_changed.connect(forget, dispatch_uid="doh.resolve")
