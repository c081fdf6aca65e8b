"""Record an event for a collection deliverer that the project called by itself."""

from typing import Any

from django.apps import apps
from django.db import models

from doh import outbox
from doh.deliverers.kinds import CollectionDeliverer, wants_result
from doh.deliverers.resolve import path_of
from doh.journal import ledger_alias
from doh.payloads import EMPTY, Content, compose


def record_call(
    kind: type[CollectionDeliverer],
    *,
    app_label: str,
    object_name: str,
    instance_pk: Any,
    action: str,
    payload: Any = None,
) -> int | None:
    """Write the event that the keywords describe; None if nobody listens to it.

    ``payload=None`` asks the model's payload methods, if the object still exists. Raises
    LookupError for an unknown model.
    """
    model = apps.get_model(app_label, object_name)
    instance = model(pk=instance_pk)
    using = model._base_manager.db
    subject = outbox.subject_of(instance, action, using)
    if not outbox.is_heard(subject):
        return None
    content = _content(kind, model, instance_pk, payload)
    handling = outbox.Handling(path_of(kind), wants_result(kind))
    return outbox.write(subject, content, handling)


def _content(
    kind: type[CollectionDeliverer], model: type[models.Model], pk: Any, payload: Any
) -> Content:
    if isinstance(payload, str):
        return Content(payload=payload)
    dump = kind().dump_payload
    found = model(pk=pk) if payload is not None else model._base_manager.filter(pk=pk).first()
    if found is None:
        return Content(payload=EMPTY)
    return compose(found, payload, dump, ledger_alias())
