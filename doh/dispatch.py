"""From a claimed batch to signed requests, and from their outcomes to what is written."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from doh import conf
from doh.bodies import Bodies, DumpFor
from doh.clock import drift_from
from doh.context import CurrentHook
from doh.exceptions import (
    BadHeadersError,
    BadTargetError,
    PayloadError,
    SecretUnreadableError,
)
from doh.fields import Keys, current_keys
from doh.journal import BatchClaim, EventRow, Journal, Owed, Settled
from doh.lease import Lease
from doh.permission import Candidate, refusals
from doh.recipients import Recipient, read_recipients
from doh.retry import defer, settle
from doh.telemetry import UNTRACED, Post, Telemetry, telemetry
from doh.types import HOOK_DISABLED, Deferred, Outcome, Pair, Verdict
from doh.version import USER_AGENT
from doh.wire.request import Message, Request, build_request, clock
from doh.wire.target import Target

#: Seconds until a pair is looked at again whose secret could not be read: that is for the
#: operator to mend, and costs the hook none of its attempts.
UNREADABLE_PAUSE = 300.0


@dataclass(slots=True, eq=False)
class Job:
    """One POST that a batch owes: everything but the moment at which it is signed.

    ``target`` is the stored one, ``place`` what it means. Nobody changes it; it is not frozen
    because that would make it take several times as long to make.
    """

    owed: Owed
    target: str = field(repr=False)
    hook: CurrentHook
    body: str = field(repr=False)
    place: Target = field(repr=False)
    #: The body to keep for later attempts; None where the event itself holds it.
    kept: str | None = field(repr=False)
    #: The hook's own rate limit, empty if it has none.
    rate: str = ""
    #: Seconds after its preparation before which it must not start.
    hold: float = 0.0
    post: Post = UNTRACED
    #: Seconds before each attempt: the hook's own, or those of the settings.
    schedule: Sequence[float] = field(default_factory=conf.retry_schedule)
    #: Whether it carries GitHub's form of a signature too.
    hub_signature: bool = False

    def request(self) -> Request:
        """The request, signed with the present time: receivers refuse one that is minutes off."""
        return build_request(
            self.target,
            self.body,
            user_agent=USER_AGENT,
            timestamp=clock(self.hook.drift),
            place=self.place,
            message=self.hook.message,
            trace=self.post.begin(),
            keyring=self.hook.keyring,
            hub_signature=self.hub_signature,
            custom=self.hook.headers,
        )

    def settle(self, outcome: Outcome) -> Settled:
        """What the outcome of its POST makes of the pair."""
        self.post.end(outcome)
        return settle(self.owed, outcome, self.schedule, self.kept)

    def defer(self, deferred: Deferred) -> Settled:
        """What a deferral makes of the pair."""
        return defer(self.owed, deferred, self.schedule, self.place.endpoint, self.kept)


@dataclass(frozen=True, slots=True)
class Work:
    """What a claimed batch comes to: POSTs to make, and pairs that need none."""

    claim: BatchClaim
    lease: Lease
    jobs: tuple[Job, ...]
    settled: tuple[Settled, ...]
    #: Dotted paths of the deliverers of its events.
    deliverers: frozenset[str]
    #: Trace contexts of its events.
    traces: frozenset[str] = frozenset()


@sensitive_variables()
def prepare(journal: Journal, claim: BatchClaim, dump_for: DumpFor) -> Work | None:
    """Read the hooks and events of a batch, render what is dynamic, and keep it.

    However long the project's payload methods take, the claim is kept alive. None if the batch
    turned out to be somebody else's.
    """
    lease = Lease(journal, claim.ring, claim.since)
    if claim.given_up:
        return _give_up(claim, lease)
    events = journal.read_events({owed.event_id for owed in claim.owed})
    bodies = Bodies(journal, claim, dump_for)
    hooks = read_recipients(journal, claim.owed)
    now = claim.now()
    terms = _Terms(
        bodies=bodies,
        keys=current_keys(),
        hub_signature=conf.hub_signature(),
        drift=drift_from(now),
        schedule=conf.retry_schedule(),
        telemetry=telemetry(),
    )
    ended = _ended(journal, claim, events, hooks, now)
    jobs: list[Job] = []
    settled: list[Settled] = []
    for owed in claim.owed:
        if not lease.keep():
            return None
        found = (ended.get(owed.pair) if ended else None) or _job(
            owed, events[owed.event_id], hooks[owed.hook_id], terms
        )
        if isinstance(found, Job):
            jobs.append(found)
            continue
        if found.verdict is Verdict.GONE:
            bodies.keep(owed, events[owed.event_id])
        schedule = _schedule(hooks.get(owed.hook_id), terms)
        settled.append(settle(owed, found, schedule, bodies.kept(owed)))
    if bodies.rendered and not journal.store_bodies(claim.ring, bodies.all()):
        return None
    deliverers = frozenset(event.deliverer for event in events.values())
    traces = frozenset(event.traceparent for event in events.values() if event.traceparent)
    return Work(claim, lease, tuple(jobs), tuple(settled), deliverers, traces)


def _give_up(claim: BatchClaim, lease: Lease) -> Work:
    """Dead letters, without a look at what may have killed everybody who looked."""
    outcome = _no_post(Verdict.DEAD, "given up: its batch was claimed in vain too often")
    bodies = claim.bodies or {}
    settled = [
        settle(owed, outcome, conf.retry_schedule(), owed.body or bodies.get(owed.key))
        for owed in claim.owed
    ]
    return Work(claim, lease, (), tuple(settled), frozenset())


@dataclass(frozen=True, slots=True)
class _Terms:
    """What holds for every POST of a batch.

    It is asked for once: a setting takes longer to look up than a POST to sign.
    """

    bodies: Bodies
    keys: Keys
    hub_signature: bool
    drift: float
    schedule: Sequence[float]
    telemetry: Telemetry
    messages: dict[int, Message] = field(default_factory=dict)

    def message(self, event: EventRow) -> Message:
        """What every hook is told of an event."""
        known = self.messages.get(event.id)
        if known is None:
            known = self.messages[event.id] = Message(
                event.uid, event.name, event.object_id, event.id, event.trace
            )
        return known


def _ended(
    journal: Journal,
    claim: BatchClaim,
    events: Mapping[int, EventRow],
    hooks: Mapping[int, Recipient],
    now: datetime,
) -> dict[Pair, Outcome]:
    """The outcomes of the pairs that are not to be sent any more, whatever their payload."""
    ended: dict[Pair, Outcome] = {}
    for owed in claim.owed:
        detail = _why_ended(events.get(owed.event_id), hooks.get(owed.hook_id), now)
        if detail:
            verdict = Verdict.GONE if detail == HOOK_DISABLED else Verdict.CANCELLED
            ended[owed.pair] = _no_post(verdict, detail)
    owners = {hook.user_id: hook.owner_is_active for hook in hooks.values()}
    return ended | refusals(owners, _candidates(claim, events, hooks, ended), journal.alias)


def _candidates(
    claim: BatchClaim,
    events: Mapping[int, EventRow],
    hooks: Mapping[int, Recipient],
    ended: Container[Pair],
) -> Iterator[Candidate]:
    """Those of a batch's pairs that may be sent, for all that is known so far."""
    for owed in claim.owed:
        if owed.pair not in ended:
            event, hook = events[owed.event_id], hooks[owed.hook_id]
            yield Candidate(
                hook.id, hook.user_id, event.id, event.label, event.object_id, event.action
            )


def _why_ended(event: EventRow | None, hook: Recipient | None, now: datetime) -> str:
    """Why a pair is owed no more; empty if it is."""
    if event is None:
        return "the event is gone"
    if hook is None:
        return "the hook is gone"
    if hook.disabled_at is not None:
        return HOOK_DISABLED
    if hook.expires_at is not None and hook.expires_at <= now:
        return "the hook has expired"
    return ""


def _job(owed: Owed, event: EventRow, hook: Recipient, terms: _Terms) -> Job | Outcome:
    """The POST of one pair, or the outcome of a pair that gets none."""
    try:
        # The body comes first: a hook that can't be sent to yet must not cost the pair its payload.
        body = terms.bodies.body(owed, event)
        place, keyring, headers = hook.opened(terms.keys)
    except (BadTargetError, BadHeadersError) as error:
        return Outcome(Verdict.DEAD, str(error), attempted=False, disable=str(error))
    except PayloadError as error:
        return Outcome(Verdict.DEAD, "its payload failed", attempted=False, said=str(error))
    except SecretUnreadableError as error:
        return Outcome(Verdict.RETRY, str(error), attempted=False, retry_after=UNREADABLE_PAUSE)
    message = terms.message(event)
    current = CurrentHook(hook.id, keyring, message, terms.drift, headers)
    return Job(
        owed=owed,
        target=hook.target,
        hook=current,
        body=body,
        place=place,
        kept=terms.bodies.kept(owed),
        rate=hook.rate,
        post=UNTRACED
        if message.trace is None
        else terms.telemetry.post(message.trace, place.host, owed.attempts + 1),
        schedule=_schedule(hook, terms),
        hub_signature=terms.hub_signature,
    )


def _schedule(hook: Recipient | None, terms: _Terms) -> Sequence[float]:
    """The hook's own, or that of the settings."""
    if hook is None or hook.retry_schedule is None:
        return terms.schedule
    return conf.usable_schedule(hook.retry_schedule) or terms.schedule


def _no_post(verdict: Verdict, detail: str) -> Outcome:
    return Outcome(verdict, detail, attempted=False)
