"""Turn what came back from a receiver into the outcome of a delivery."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from doh.types import SUCCEEDED, Answer, Failure, Outcome, Verdict
from doh.wire.request import clock

#: Bounds of what a receiver may ask for with Retry-After, in seconds.
RETRY_AFTER_MIN: Final = 1.0
RETRY_AFTER_MAX: Final = 86_400.0
_ASKS_FOR_TIME: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def judge(reply: Answer | Failure, host: str, drift: float = 0.0) -> Outcome:
    """The outcome of one POST.

    2xx is success; 410 disables the hook; what the guard refused is blocked; everything else,
    redirects too, is tried again; 429 and 503 name their own earliest time with Retry-After.
    This machine's clock is so many seconds behind.
    """
    if isinstance(reply, Failure):
        verdict = Verdict.BLOCKED if reply.blocked else Verdict.RETRY
        return Outcome(verdict, reply.detail, elapsed=reply.elapsed, host=host)
    outcome = judge_status(reply.status_code, reply.headers, drift)
    outcome.elapsed, outcome.host = reply.elapsed, host
    return outcome


def judge_status(status: int, headers: Sequence[tuple[str, str]], drift: float = 0.0) -> Outcome:
    """The outcome that a status and the headers stand for."""
    if 200 <= status < 300:
        return Outcome(SUCCEEDED, status_code=status)
    if status == HTTPStatus.GONE:
        return Outcome(Verdict.GONE, "410 Gone", status, disable="the receiver answered 410 Gone")
    wait = None
    if status in _ASKS_FOR_TIME:
        named = {name.lower(): value for name, value in headers}
        if "retry-after" in named:
            wait = retry_after(named["retry-after"], _answered_at(named, drift))
    return Outcome(Verdict.RETRY, _describe(status), status, retry_after=wait)


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, in either of its forms; None if unreadable."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value[:12])
    else:
        moment = _moment(value)
        if moment is None:
            return None
        seconds = (moment - now).total_seconds()
    return min(max(seconds, RETRY_AFTER_MIN), RETRY_AFTER_MAX)


def _answered_at(headers: dict[str, str], drift: float) -> datetime:
    """When it was answered: by the clock that set the date to come back at, if it says so."""
    said = _moment(headers.get("date", ""))
    return datetime.fromtimestamp(clock(drift), UTC) if said is None else said


def _moment(value: str) -> datetime | None:
    """The moment that an HTTP date names; None if it is none."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _describe(status: int) -> str:
    if 300 <= status < 400:
        return f"{status}: redirects are not followed"
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
