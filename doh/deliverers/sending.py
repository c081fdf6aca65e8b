"""Send the jobs of one batch, in this thread, and give back what came of each."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests

from doh import conf, egress
from doh.context import sending_to
from doh.deliverers.kinds import ElementDeliverer
from doh.deliverers.resolve import Deliverer
from doh.dispatch import Job
from doh.exceptions import AddressRefusedError, reason_of, stack_of
from doh.types import Answer, Outcome, Verdict
from doh.wire.connections import TransportOptions
from doh.wire.outcome import judge
from doh.wire.requests_transport import RequestsTransport

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """A job, what came of it, and the response if there was one."""

    job: Job
    outcome: Outcome
    response: requests.Response | None = None


#: Sends jobs and yields each as soon as its outcome is known.
Sender = Callable[[Iterable[Job]], Iterator[Sent]]


def transport() -> RequestsTransport:
    """The pooled transport for what is set now."""
    return _transport(os.getpid(), transport_options())


def transport_options() -> TransportOptions:
    """Timeouts, authorities and policy as the settings have them."""
    return TransportOptions(
        conf.connect_timeout(), conf.total_timeout(), conf.ca_bundle(), egress.policy()
    )


@lru_cache(maxsize=4)
def _transport(_process: int, options: TransportOptions) -> RequestsTransport:
    # By process: after a fork, pooled connections are the parent's still.
    return RequestsTransport(options)


def send_with_requests(jobs: Iterable[Job]) -> Iterator[Sent]:
    """One after the other, over pooled connections."""
    for job in jobs:
        reply, response = transport().post(job.request())
        yield Sent(job, judge(reply, job.place.endpoint, job.hook.drift), response)


def send_with_callable(call: Callable[[str, str], Any]) -> Sender:
    """Through a callable of the project's own, which is given the target and the payload."""

    def send(jobs: Iterable[Job]) -> Iterator[Sent]:
        for job in jobs:
            yield Sent(job, _outcome_of_call(call, job))

    return send


def sender_for(element: Deliverer[ElementDeliverer]) -> Sender:
    """How an element deliverer sends."""
    return send_with_requests if element.kind else send_with_callable(element.call)


def run_after_deliver(kind: type[ElementDeliverer], response: requests.Response) -> None:
    """Call a project's ``after_deliver``; what it raises is logged and changes nothing."""
    try:
        kind().after_deliver(response)
    except Exception as error:  # noqa: BLE001 - project code
        logger.error("%s.after_deliver failed: %s", kind.__qualname__, stack_of(error))


def _outcome_of_call(call: Callable[[str, str], Any], job: Job) -> Outcome:
    """None or a 2xx response is success, another response goes by the rules, a raise failed."""
    try:
        with sending_to(job.hook):
            result = call(job.target, job.body)
        if not isinstance(result, requests.Response):
            return Outcome(Verdict.SUCCEEDED, host=job.place.endpoint)
        return judge(_answer_in(result), job.place.endpoint, job.hook.drift)
    except AddressRefusedError as error:
        return Outcome(Verdict.BLOCKED, str(error), host=job.place.endpoint)
    except Exception as error:  # noqa: BLE001 - project code
        logger.warning("The element deliverer failed for hook %s: %s", job.hook.pk, stack_of(error))
        detail = f"the element deliverer raised {type(error).__name__}"
        return Outcome(
            Verdict.RETRY, detail, host=job.place.endpoint, said=_discreet(reason_of(error), job)
        )


def _discreet(text: str, job: Job) -> str:
    """The text without what it quotes of the request: clients name the URL that they failed at."""
    parts = urlsplit(job.target)
    resource = f"{parts.path}?{parts.query}" if parts.query else ""
    for quoted in (job.target, resource, parts.query, job.body if len(job.body) > 2 else ""):
        text = text.replace(quoted, "…") if quoted else text
    return text


def _answer_in(response: requests.Response) -> Answer:
    return Answer(
        status_code=response.status_code,
        reason=response.reason or "",
        headers=tuple(response.headers.items()),
        body=b"",
        elapsed=response.elapsed.total_seconds(),
    )
