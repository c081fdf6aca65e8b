"""One screen for a person."""

from collections.abc import Iterator, Mapping, Sequence

from doh.status.broker import Broker
from doh.status.circuits import LISTED, Circuit, Circuits
from doh.status.judge import Finding, worst
from doh.status.ledger import COUNTED, NAMED, WINDOW, Detail, Vitals


def lay_out(
    vitals: Vitals,
    detail: Detail,
    broker: Broker | None,
    circuits: Circuits | None,
    findings: Sequence[Finding],
) -> Iterator[str]:
    """The lines of the screen."""
    yield f"Hooks are {worst(findings).name}"
    for finding in findings:
        yield f"  {finding.level.name.lower()}: {finding.text}"
    yield ""
    yield from _owed_lines(vitals, detail)
    yield ""
    yield from _rate_lines(detail)
    yield ""
    yield f"Disabled hooks   {_number(detail.disabled)}{_named(detail.disabled_by_reason)}"
    yield f"Failing hooks    {_failing(detail.failing)}"
    yield f"Dead letters     {_number(detail.dead)}{_named(detail.dead_by_reason)}"
    yield f"Circuits         {_circuits(circuits)}"
    yield ""
    yield f"Last sweep       {_age(vitals.sweep, 'never')}{'' if vitals.sweep is None else ' ago'}"
    yield f"Broker           {_broker(broker)}"


def _owed_lines(vitals: Vitals, detail: Detail) -> Iterator[str]:
    yield f"Owed             {'now':>10} {'oldest':>10}"
    for name, number, age in (
        ("events due", detail.events_due, vitals.event),
        ("batches", detail.batches, vitals.batch),
        ("deliveries due", detail.deliveries_due, vitals.delivery),
    ):
        yield f"  {name:<14} {_number(number):>10} {_age(age, '-'):>10}"
    yield f"  {'waiting':<14} {_number(detail.waiting):>10}"


def _rate_lines(detail: Detail) -> Iterator[str]:
    yield f"A minute (over the last {WINDOW / 60:g}, or the newest {COUNTED:,})"
    yield f"  {'events':<14} {detail.events:>10,.1f}"
    for status, rate in sorted(detail.outcomes.items()):
        yield f"  {status:<14} {rate:>10,.1f}"
    yield f"  {'not accepted':<14} {detail.attempts:>10,.1f}"


def _number(value: int, bound: int = COUNTED) -> str:
    return f"{value:,}{'+' if value >= bound else ''}"


def _age(seconds: float | None, none: str) -> str:
    if seconds is None:
        return none
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _named(reasons: Mapping[str, int]) -> str:
    return "".join(
        f"\n  {number:>8,}  {reason or '(no reason)'}" for reason, number in reasons.items()
    )


def _failing(owed: Mapping[int, int]) -> str:
    if not owed:
        return "0"
    most = ", ".join(f"{hook_id} ({number:,} waiting)" for hook_id, number in owed.items())
    return f"most is owed to hook {most}"


def _circuits(circuits: Circuits | None) -> str:
    if circuits is None:
        return "not used"
    if circuits.error:
        return f"not known: {circuits.error}"
    named = (f"\n  {one.host}  {_circuit(one)}" for one in circuits.hosts[:NAMED])
    return f"{_number(len(circuits.hosts), LISTED)}{''.join(named)}"


def _circuit(circuit: Circuit) -> str:
    if circuit.opened_ago is None:
        return f"asked for a pause of another {_age(circuit.paused_for, '')}"
    wait = max(circuit.open_for, circuit.paused_for)
    probe = f"next probe in {_age(wait, '')}" if wait else "half open: the next POST tells"
    return f"open for {_age(circuit.opened_ago, '')}, {probe}"


def _broker(broker: Broker | None) -> str:
    if broker is None:
        return "not used"
    if broker.error:
        return f"does not answer ({broker.error})"
    waiting = ", ".join(f"{name} {number:,}" for name, number in broker.queues.items())
    return f"answers; waiting in {waiting}" if waiting else "answers"
