"""Hooks that fail for days: warn of them, then disable them, unless it is our own network."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from doh import conf
from doh.journal import Journal
from doh.journal.failing import Failures, Health

logger = logging.getLogger(__name__)

#: A hook fails only if that many events did, the first and the last attempt so far apart.
MIN_EVENTS: Final = 10
MIN_SPAN: Final = timedelta(hours=24)
#: Our own network is down when more than half of at least so many target hosts give no answer.
MIN_HOSTS: Final = 5
#: What counts as "now": the longest pause of the standard schedule, spread.
_RECENT: Final = timedelta(hours=30)


@dataclass(slots=True)
class Looked:
    """What a look at the failing hooks led to, and whether it was our own network."""

    warned: int = 0
    disabled: int = 0
    own_outage: bool = False


def disable_failing(journal: Journal) -> Looked:
    """Look at the hooks that fail: warn of them, then disable them, as the settings say.

    Neither is done while our own network seems to be down, nor is that time counted afterwards:
    whatever failed during it starts anew.
    """
    now = journal.now()
    failing = journal.failing_hooks(now - _RECENT)
    if _is_own_outage(journal, now):
        logger.warning("Most target hosts give no answer: no hook is blamed for that")
        journal.excuse(failing, now)
        return Looked(own_outage=True)
    looked = Looked()
    for health in journal.healths(failing):
        current = _up_to_date(journal, health)
        if current.failing_since is not None:
            _treat(journal, current, current.failing_since, now, looked)
    return looked


def _is_own_outage(journal: Journal, now: datetime) -> bool:
    down, hosts = journal.unreachable_hosts(now - _RECENT)
    return hosts >= MIN_HOSTS and down * 2 > hosts


def _up_to_date(journal: Journal, health: Health) -> Health:
    """How the hook does now: a success since it began to fail starts its time anew."""
    since, sound = health.failing_since, health.sound_until
    if since is not None and (sound is None or sound < since):
        return health
    return _begin(journal, health, sound)


def _begin(journal: Journal, health: Health, sound: datetime | None) -> Health:
    """Write down the first failure after a moment at which all was well, if there is any."""
    first = journal.failures(health.id, sound).first
    if first == health.failing_since:
        return health
    journal.note_failing(health, first)
    return replace(health, failing_since=first, warned_at=None)


def _treat(
    journal: Journal, health: Health, since: datetime, now: datetime, looked: Looked
) -> None:
    """Take the step that is due for a failing hook, if there is enough against it."""
    disable = _is_past(conf.disable_after(), since, now)
    warn = _is_past(conf.warn_after(), since, now) and health.warned_at is None
    if not (disable or warn):
        return
    success = journal.last_success(health.id, since)
    if success is not None:
        # A retry of something older was accepted meanwhile.
        _begin(journal, health, success)
        return
    failures = journal.failures(health.id, since - timedelta(microseconds=1))
    if not _is_enough(failures):
        return
    if disable:
        looked.disabled += journal.disable(health.id, _reason(since, failures), now)
    else:
        looked.warned += journal.warn_of(health.id, since, now)


def _is_past(days: float | None, since: datetime, now: datetime) -> bool:
    return days is not None and now - since >= timedelta(days=days)


def _is_enough(failures: Failures) -> bool:
    first, last = failures.first, failures.last
    if first is None or last is None:
        return False
    return failures.events >= MIN_EVENTS and last - first >= MIN_SPAN


def _reason(since: datetime, failures: Failures) -> str:
    began = since.isoformat(sep=" ", timespec="minutes")
    return f"it has failed since {began}: {failures.events} events, and none was accepted"
