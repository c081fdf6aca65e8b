"""What pruning may take, and what it must leave."""

from datetime import timedelta
from uuid import uuid4

from django.utils import timezone

from doh.models import Attempt, Delivery, Event, Hook, content_type_of
from tests.app.models import Depot, Vehicle
from tests.journal.steps import BAD, LEASE, fan_out, redrive, settled, waiting


def send(journal, outcome=settled):
    for ring in fan_out(journal):
        claim = journal.claim_batch(ring, LEASE)
        journal.flush(claim.ring, [outcome(one) for one in claim.owed], done=True)


def dead(owed):
    return settled(owed, BAD, "dead")


def age():
    """Let all that there is be of long ago, but for what is not finished."""
    past = timezone.now() - timedelta(days=60)
    Event.objects.update(occurred_at=past)
    Event.objects.exclude(finished_at=None).update(finished_at=past)


def before():
    return timezone.now() - timedelta(days=30)


def test_a_large_event_is_pruned_in_bounded_steps(journal, make_event, make_hooks):
    make_hooks(7)
    make_event()
    send(journal, dead)
    age()
    steps = []
    while number := journal.prune(before(), 3):
        steps.append(number)
    assert steps == [3, 3, 2]
    assert (Event.objects.count(), Delivery.objects.count(), Attempt.objects.count()) == (0, 0, 0)


def test_an_event_without_hooks_is_pruned(journal, make_event):
    make_event()
    fan_out(journal)
    age()
    assert journal.prune(before(), 10) == 1


def test_a_redriven_event_stays_whole(journal, make_event, make_hooks):
    make_hooks(3)
    make_event()
    send(journal, dead)
    age()
    redrive(journal, pk=Delivery.objects.first().pk)
    assert journal.prune(before(), 10) == 0
    journal.gather_retries(10, 10, 600)
    assert journal.prune(before(), 10) == 0
    assert (Delivery.objects.count(), Attempt.objects.count()) == (3, 3)


def test_an_event_given_up_in_mid_fan_out_stays_while_a_batch_owes_its_pairs(
    journal, make_event, make_hooks
):
    make_hooks(4)
    make_event()
    claims = journal.claim_events(1, LEASE)
    journal.commit_slice(
        claims, journal.match(claims, 2), 2, batch_size=2, lease=LEASE, queue_lease=600
    )
    journal.postpone_event(claims[0], None, "no more")
    age()
    assert journal.prune(before(), 10) == 0


def test_neither_young_nor_unfinished_events_are_pruned(journal, make_event, make_hooks):
    make_hooks(1)
    make_event()
    send(journal)
    make_event()
    age()
    Event.objects.filter(pk=Event.objects.first().pk).update(finished_at=timezone.now())
    assert journal.prune(before(), 10) == 0


def test_hooks_of_deleted_objects_go_in_bounded_steps(journal, make_event, make_hooks):
    make_hooks(5)
    make_event(action="deleted")
    fan_out(journal)
    assert [journal.prune_orphans(2) for _ in range(4)] == [2, 2, 1, 0]


def test_hooks_on_a_whole_model_or_on_another_object_stay(
    journal, make_event, make_hooks, django_user_model
):
    make_hooks(1)
    (whole,) = make_hooks(1, object_id=None)
    other = make_hooks(1, object_id="2")
    somebody = django_user_model.objects.create(username="grace")
    other.append(
        Hook.objects.create(
            user=somebody, content_type=content_type_of(Depot), object_id="1", target="http://b/"
        ).pk
    )
    make_event(action="deleted")
    fan_out(journal)
    assert journal.prune_orphans(10) == 1
    assert set(Hook.objects.values_list("pk", flat=True)) == {whole, *other}


def test_hooks_stay_while_an_earlier_event_of_the_object_is_retried(
    journal, make_event, make_hooks
):
    make_hooks(1)
    make_event()
    send(journal, lambda one: waiting(one, 1000))
    make_event(action="deleted")
    fan_out(journal)
    assert journal.prune_orphans(10) == 0
    Delivery.objects.update(status="dead", due_at=None)
    assert journal.prune_orphans(10) == 1


def test_an_object_that_can_not_be_asked_for_counts_as_living(journal, make_event, make_hooks):
    make_hooks(1, object_id="x")
    make_event(action="deleted", object_id="x", label="gone.model")
    make_event(action="deleted", object_id="x", using="gone")
    make_event(action="deleted", object_id="x", label="app.depot")
    fan_out(journal)
    assert journal.prune_orphans(10) == 0


def test_an_object_with_a_uuid_is_looked_up_by_it(journal, make_event, make_hooks):
    kind = content_type_of(Depot)
    alive = Depot.objects.create(name="north")
    for key in (alive.pk, uuid4()):
        make_hooks(1)
        Hook.objects.filter(object_id="1").update(content_type=kind, object_id=str(key))
        make_event(action="deleted", content_type=kind, label="app.depot", object_id=str(key))
    fan_out(journal)
    assert journal.prune_orphans(10) == 1
    assert Hook.objects.get().object_id == str(alive.pk)


def test_pruning_takes_finished_events_with_all_that_is_theirs(journal, make_event, make_hooks):
    make_hooks(2)
    old, waiting_event, fresh = make_event(), make_event(), make_event()
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    outcomes = [
        waiting(one, 1000) if one.event_id == waiting_event.pk else settled(one, BAD, "dead")
        for one in claim.owed
    ]
    journal.flush(claim.ring, outcomes, done=True)
    past = timezone.now() - timedelta(days=60)
    Event.objects.exclude(pk=fresh.pk).update(occurred_at=past, finished_at=past)
    assert journal.prune(timezone.now() - timedelta(days=30), 10) == 3
    assert not Event.objects.filter(pk=old.pk).exists()
    assert not Delivery.objects.filter(event_id=old.pk).exists()
    assert Attempt.objects.count() == Delivery.objects.count() == 4


def test_hooks_of_a_deleted_object_go_once_its_deletion_is_settled(journal, make_event, make_hooks):
    make_hooks(1, action="deleted")
    (other,) = make_hooks(1, object_id="2")
    make_event(action="deleted")
    assert journal.prune_orphans(10) == 0
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [waiting(claim.owed[0])], done=True)
    assert journal.prune_orphans(10) == 0
    (ring,) = journal.gather_retries(10, 10, 600)
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [settled(claim.owed[0])], done=True)
    assert journal.prune_orphans(10) == 1
    assert Hook.objects.get().pk == other


def test_hooks_stay_if_the_object_exists_again(journal, make_event, make_hooks):
    make_hooks(1, action="deleted")
    make_event(action="deleted")
    (ring,) = fan_out(journal)
    claim = journal.claim_batch(ring, LEASE)
    journal.flush(claim.ring, [settled(claim.owed[0])], done=True)
    Vehicle.objects.create(pk=1, name="again")
    assert journal.prune_orphans(10) == 0
