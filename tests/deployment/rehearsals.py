"""One rehearsal per alert: get into that trouble, do what the runbook says, and be out of it."""

import signal
import socket
from collections.abc import Callable

from tests.deployment.runbook import command, says
from tests.deployment.troubled import ELEMENTS, Deployment, name

Rehearsal = Callable[[Deployment], None]
REHEARSALS: dict[str, Rehearsal] = {}


def rehearsal(alert: str) -> Callable[[Rehearsal], Rehearsal]:
    """Note for which alert a rehearsal is."""

    def note(function: Rehearsal) -> Rehearsal:
        REHEARSALS[alert] = function
        return function

    return note


@rehearsal("DohLedgerUnwatched")
def nobody_observes(it: Deployment) -> None:
    """The process is down; then it runs, on a database without tables."""
    alert = "DohLedgerUnwatched"
    it.stop("metrics")
    it.until_firing(alert)
    look = command(alert, "curl", {"HOST:9808": f"127.0.0.1:{it.ledger}"})
    assert it.run(look).status != 0, says(alert, "no answer means that the process is down")
    bare = it.create_database("bare")
    it.start("metrics", DATABASE_URL=bare)
    it.until(lambda: it.run(look).status == 0)
    assert "doh_due_rows" not in it.must(look), says(alert, "answers without `doh_due_rows`")
    assert it.alarms.firing(alert)
    says(alert, "its log says why a query failed")
    it.until(lambda: 'relation "doh_' in it.commands.log("metrics"))
    asked = it.run(command(alert, "manage.py doh_status"), DATABASE_URL=bare)
    assert "The ledger can't be read" in asked.text, asked
    it.must(command(alert, "manage.py migrate"), DATABASE_URL=bare)
    it.until_resolved(alert)
    it.stop("metrics")
    it.start("metrics")


@rehearsal("DohSweepStopped")
def nobody_sweeps(it: Deployment) -> None:
    """The worker hangs; then beat is down; then the broker is full."""
    alert = "DohSweepStopped"
    it.signal("collection", signal.SIGSTOP)
    it.until_firing(alert)
    status = command(alert, "manage.py doh_status")
    assert says(alert, "does not answer") not in it.run(status).text
    says(alert, "`doh.maintenance` has messages waiting")
    it.until(lambda: it.waiting_in("doh.maintenance") > 0)
    asked = it.run(command(alert, "celery -A project", {"HOST": it.host}))
    assert asked.status != 0, asked
    says(alert, "restart it if it hangs")
    it.signal("collection", signal.SIGKILL)
    it.start("collection")
    it.until_resolved(alert)
    it.stop("beat")
    it.until_firing(alert)
    assert it.waiting_in("doh.maintenance") == 0, says(alert, "`doh.maintenance` is empty")
    assert "doh.W003" not in it.must(command(alert, "manage.py check"))
    it.save()
    it.start("beat")
    it.until_resolved(alert)
    it.limit_broker("1mb")
    it.until_firing(alert)
    assert "does not answer" not in it.run(status).text, says(alert, "though it answers")
    it.until(
        lambda: "command not allowed when used memory > 'maxmemory'" in it.commands.log("beat")
    )
    says(alert, "its log says that Redis refuses writes")
    shown = it.must(command(alert, "redis-cli", {"redis-cli": f"redis-cli -u {it.broker.url}"}))
    assert "maxmemory_human:1.00M" in shown, says(alert, "it is full")
    assert "maxmemory_policy:noeviction" in shown, says(alert, "must be `noeviction`")
    it.limit_broker("0")
    it.everybody_is_told(meanwhile=it.supervise)


@rehearsal("DohBrokerDown")
def no_broker(it: Deployment) -> None:
    """It is away for long, and comes back empty."""
    alert = "DohBrokerDown"
    it.broker.kill()
    it.until_firing(alert)
    assert "does not answer" in it.run("python -m django doh_status").text
    says(alert, "Saves go on")
    it.save(3)
    it.start_line("doh_work", command(alert, "manage.py doh_work"))
    it.everybody_is_told()
    it.stop("doh_work")
    says(alert, "events gather in the ledger")
    it.save(2)
    it.broker.start()
    says(alert, "whatever supervises it starts it again")
    it.everybody_is_told(meanwhile=it.supervise)


@rehearsal("DohDeliveriesLate")
def nobody_takes_it_up(it: Deployment) -> None:
    """Batches that nobody sends; deliveries that nobody retries, events that nobody collects."""
    alert = "DohDeliveriesLate"
    it.stop("element")
    it.save()
    it.until_firing(alert, doh_kind="batch")
    says(alert, "- `batch`: nobody sends. Are workers of `doh.element`")
    it.stop("listener")
    it.start("element")
    it.until(lambda: it.owed()["waiting"])
    it.stop("collection")
    it.save()
    for kind in ("event", "delivery"):
        it.until_firing(alert, doh_kind=kind)
    says(alert, "- `event`: nobody collects. Is a worker of `doh.collection` up?")
    says(alert, "- `delivery`: nobody retries.")
    it.start("listener")
    it.start("collection")


@rehearsal("DohDeliveriesSlow")
def too_few_workers(it: Deployment) -> None:
    """Receivers take their time, and the worker has no room for more of them."""
    alert = "DohDeliveriesSlow"
    busy_with_slow_receivers(it)
    it.save(3)
    it.until_firing(alert, doh_kind="batch")
    says(alert, "for more of them")
    says("DohQueueGrows", "start more of the kind that takes that queue")
    it.start("another")
    it.until_resolved(alert)
    it.everybody_is_told()
    it.stop("another")
    as_usual(it)


@rehearsal("DohQueueGrows")
def a_queue_grows(it: Deployment) -> None:
    """As much is saved as ever, and sent more slowly."""
    alert = "DohQueueGrows"
    busy_with_slow_receivers(it)
    # At a pace: between bursts the queue would shrink.
    it.start_line("saves", it.saving(1000, every=0.5))
    it.until_firing(alert, messaging_destination_name="doh.element")
    says(alert, "`doh_status`: which queue?")
    it.until(lambda: it.waiting_in("doh.element") > 0)
    it.stop("saves")
    assert max(it.alarms.panel("Processor of workers").values()) < 0.5, says(alert, "Idle")
    assert max(it.alarms.panel("Duration of POSTs").values()) > 0.5, says(alert, "slow receivers")
    says(alert, "raise `HOOK_MAX_IN_FLIGHT`")
    it.stop("element")
    it.start("element")
    it.until_resolved(alert)
    it.everybody_is_told()
    as_usual(it)


@rehearsal("DohWorkerDown")
def a_process_is_gone(it: Deployment) -> None:
    """It is killed in the middle; its port is taken; there are fewer than there were."""
    alert = "DohWorkerDown"
    it.stop("listener")
    it.start("slow listener")
    before = it.posts()
    it.save()
    it.until(lambda: it.posts() > before)
    it.signal("element", signal.SIGKILL)
    it.until_firing(alert)
    it.run(command(alert, "journalctl"))
    with socket.create_server(("127.0.0.1", it.element)):
        it.start("element")
        it.until(lambda: says(alert, "No metrics of this process") in it.commands.log("element"))
        it.until(lambda: it.unseen() == {it.element})
        it.stop("element")
    it.start("element")
    it.until_resolved(alert)
    it.everybody_is_told()
    it.stop("slow listener")
    it.start("listener")
    it.stop("element")
    it.start("single element")
    it.until(lambda: it.unseen() == {it.element + 1})
    says(alert, "take the target out of `prometheus.yml`")
    it.watch(1)
    it.until_resolved(alert)
    it.watch(ELEMENTS)
    it.stop("single element")
    it.start("element")


@rehearsal("DohMostAttemptsFail")
def no_way_out(it: Deployment) -> None:
    """Names are not known any more."""
    alert = "DohMostAttemptsFail"
    it.lose_names()
    it.save(2)
    it.until_firing(alert)
    failing = it.alarms.panel("POSTs that fail")
    assert {dict(labels)["error_type"] for labels in failing} == {"no_answer"}
    says(alert, '"POSTs that fail": all `no_answer`?')
    ask = command(alert, "getent", {"RECEIVER": name(1)})
    assert it.run(ask).status != 0
    says(alert, "`doh_status` names the hooks that most is owed to")
    assert "most is owed to hook" in it.run("python -m django doh_status").text
    it.know_names(True)
    it.must(ask)
    says(alert, "waiting deliveries come back on their schedule")
    it.everybody_is_told()


@rehearsal("DohManyCircuitsOpen")
def many_hosts_are_away(it: Deployment) -> None:
    """A common provider of many hosts is down for a while."""
    alert = "DohManyCircuitsOpen"
    it.stop("listener")
    it.save(2)
    it.until_firing(alert)
    says(alert, "then there is nothing to do")
    it.start("listener")
    says(alert, "one probe per pause finds out when it is back")


@rehearsal("DohDeadLetters")
def too_many_die(it: Deployment) -> None:
    """Every receiver is away for longer than its hook's schedule."""
    alert = "DohDeadLetters"
    it.every_hook(retry_schedule=[0])
    it.stop("listener")
    it.save()
    it.until_firing(alert)
    says(alert, "`doh_status` counts them by reason")
    it.start("listener")
    says(alert, "Receivers that were away and are back: redrive theirs")
    assert name(1) in it.must(command(alert, "manage.py doh_dead_letters list"))
    it.must(command(alert, "manage.py doh_dead_letters redrive") + " --model vehicles.Vehicle")
    it.every_hook(retry_schedule=None)


def busy_with_slow_receivers(it: Deployment) -> None:
    """Receivers that take a second, and workers that have two POSTs under way."""
    it.stop("listener")
    it.start("slow listener")
    it.stop("element")
    it.start("element", HOOK_MAX_IN_FLIGHT="2")


def as_usual(it: Deployment) -> None:
    """Quick receivers, and workers with room."""
    it.stop("slow listener")
    it.start("listener")
    it.stop("element")
    it.start("element")
