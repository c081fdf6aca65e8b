"""The two base deliverers: subclass them, and name ``X.deliver`` or ``X.delay`` in the settings."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import requests
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from doh import conf
from doh.context import CurrentEvent, current_event, current_hook
from doh.deliverers import inline
from doh.deliverers.direct import record_call
from doh.deliverers.kinds import (
    CollectionDeliverer,
    ElementDeliverer,
    built_in,
    wants_response,
    wants_result,
)
from doh.deliverers.project import keywords_of
from doh.deliverers.resolve import path_of
from doh.deliverers.sending import Sender, run_after_deliver, transport
from doh.exceptions import AddressRefusedError, HookError
from doh.journal import get_journal, ledger_alias
from doh.types import Failure
from doh.version import USER_AGENT
from doh.wire.request import build_request, clock

logger = logging.getLogger(__name__)


class HooksDeliverer(CollectionDeliverer):
    """Collects the hooks of an event and delivers to each of them.

    Override ``dump_payload(payload)`` to serialize otherwise, ``after_deliver(hooks)`` to act
    once every hook has had its first outcome.
    """

    @classmethod
    @built_in
    def deliver(cls, **event: Any) -> None:
        """Deliver here and now, once the running transaction commits.

        Takes the keywords ``app_label, object_name, instance_pk, action, payload``; the payload
        is JSON text, None asks the model, anything else is dumped. Called by a project rather
        than for an event, or with other keywords than those of the event, it records one first.
        """
        cls._for_event(event, cls._deliver_now)

    @classmethod
    @built_in
    def delay(cls, **event: Any) -> None:
        """The same through Celery: one message, however many hooks the event has."""
        cls._for_event(event, cls._ring)

    @classmethod
    def _for_event(cls, event: dict[str, Any], act: Callable[[CurrentEvent], None]) -> None:
        current = current_event.get()
        if current is not None and _is_about(event, current):
            if not current.taken:
                act(current)
            return
        recorded = record_call(cls, **event)
        if recorded is not None:
            now = partial(act, CurrentEvent(recorded))
            transaction.on_commit(now, using=ledger_alias(), robust=True)

    @classmethod
    def _deliver_now(cls, event: CurrentEvent) -> None:
        claims = inline.claim(event.event_id) if event.claim is None else [event.claim]
        cls._take(event, again_now=False)
        inline.deliver_claims(claims, cls._sender())

    @classmethod
    def _ring(cls, event: CurrentEvent) -> None:
        from doh.deliverers.celery import doorbell

        cls._take(event, again_now=True)
        doorbell.ring()

    @classmethod
    def _take(cls, event: CurrentEvent, *, again_now: bool) -> None:
        """Take an event over from the project's own callable that delegated it to this class."""
        if event.claim is not None:
            event.taken = True
            get_journal().reassign_event(
                event.claim, path_of(cls), wants_result(cls), again_now=again_now
            )

    @classmethod
    def _sender(cls) -> Sender | None:
        """None: as the element setting says."""
        return None


class HookDeliverer(ElementDeliverer):
    """Delivers one payload to one target.

    Override ``after_deliver(response)`` to look at the response. Called by a project, outside of
    any event, each call is one POST that is logged and not owed: nothing repeats it.
    """

    @classmethod
    @built_in
    @sensitive_variables()
    def deliver(cls, target: str, payload: str) -> requests.Response | None:
        """POST the payload (JSON text); returns the response, None if none came.

        Inside a project's own element deliverer the POST is signed for the hook it was called
        for, and a failure raises `HookError`, so that the delivery is tried again. Raises
        `BadTargetError` for a target that is no URL.
        """
        hook = current_hook.get()
        request = build_request(
            target,
            payload,
            user_agent=USER_AGENT,
            timestamp=clock(hook.drift if hook else 0.0),
            message=hook.message if hook else None,
            keyring=hook.keyring if hook else None,
            hub_signature=conf.hub_signature(),
            custom=hook.headers if hook else (),
        )
        reply, response = transport().post(request)
        if isinstance(reply, Failure):
            logger.warning("POST to %s failed: %s", request.host, reply.detail)
            if hook is not None:
                raise (AddressRefusedError if reply.blocked else HookError)(reply.detail)
            return None
        logger.info("POST to %s: %s", request.host, reply.status_code)
        if response is not None and wants_response(cls):
            run_after_deliver(cls, response)
        return response

    @classmethod
    @built_in
    @sensitive_variables()
    def delay(cls, target: str, payload: str) -> None:
        """The same through Celery; target and payload stay out of the message."""
        from doh.deliverers.celery import doorbell

        if not doorbell.post_once(path_of(cls), target, payload):
            logger.warning("No worker could be told of a POST: it is dropped")


def _is_about(event: dict[str, Any], current: CurrentEvent) -> bool:
    """Whether a call is for the current event: handed out bare, or delegated with its keywords."""
    return not event or (current.claim is not None and event == keywords_of(current.claim))
