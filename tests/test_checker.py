"""The checker of the fault suite finds what it is there for."""

import hashlib
import json

import pytest

from doh.models import Delivery, Event, Hook
from tests.app.models import Depot
from tests.faults.checker import check
from tests.faults.files import COMMITTED, RECEIVED, TOLD

pytestmark = pytest.mark.django_db(transaction=True)


class Folder:
    """What the processes of a row would have left, for one depot that two hooks were told of."""

    def __init__(self, path):
        self.path = path
        self.event = Event.objects.get()
        body = hashlib.sha256(self.event.payload.encode()).hexdigest()[:32]
        self.posts = [
            {"id": self.event.uid, "hook": name, "body": body, "valid": True} for name in "ab"
        ]
        self.committed = [{"name": "1"}]
        self.told = [{"event": self.event.pk}]

    def check(self):
        for name, lines in (
            (RECEIVED, self.posts),
            (COMMITTED, self.committed),
            (TOLD, self.told),
        ):
            (self.path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return check(self.path)


@pytest.fixture
def folder(tmp_path, user, receiver):
    for name in "ab":
        Hook.objects.create(
            user=user, model=Depot, action="created", target=receiver.url(f"/{name}/ok")
        )
    Depot.objects.create(name="1")
    return Folder(tmp_path)


def test_a_row_in_which_all_went_well_breaks_nothing(folder):
    found = folder.check()
    assert found.violations() == []
    assert (found.events, found.deliveries, found.duplicates) == (1, 2, 0)


def test_what_the_witness_never_saw_is_lost(folder):
    folder.posts.pop()
    assert folder.check().lost == [f"{folder.event.uid} b"]


def test_a_dead_letter_that_nobody_received_is_not_lost(folder):
    folder.posts.pop()
    Delivery.objects.filter(hook__target__endswith="/b/ok").update(status="dead")
    assert folder.check().violations() == []


def test_a_save_without_its_event_is_lost_and_so_is_one_the_database_forgot(folder):
    Depot.objects.bulk_create([Depot(name="2")])
    folder.committed.append({"name": "3"})
    assert folder.check().lost == ["save 3", "event of 2"]


def test_what_was_never_committed_is_a_phantom(folder):
    folder.posts.append({**folder.posts[0], "id": "evt_never"})
    assert folder.check().phantom == ["POST evt_never", "POST evt_never a"]


def test_an_event_of_a_save_that_was_rolled_back_is_a_phantom(folder):
    Depot.objects.all().delete()
    folder.committed.clear()
    assert f"event {folder.event.pk}" in folder.check().phantom


def test_a_post_that_the_ledger_does_not_know_of_is_a_duplicate(folder):
    folder.posts.append(folder.posts[0])
    assert folder.check().duplicates == 1


def test_posts_must_be_signed_and_say_the_same_each_time(folder):
    folder.posts[0] = {**folder.posts[0], "valid": False, "body": "another"}
    found = folder.check()
    assert found.invalid == [f"{folder.event.uid} a"]
    assert found.changed == [folder.event.uid]


def test_what_is_still_waiting_is_not_settled(folder):
    Delivery.objects.filter(hook__target__endswith="/b/ok").update(status="waiting")
    found = folder.check()
    assert found.unsettled == [f"{folder.event.uid} b"]
    assert found.ownership


def test_a_result_hook_that_did_not_run_is_missed_and_one_that_ran_again_is_counted(folder):
    folder.told *= 2
    assert folder.check().after_deliver_again == 1
    folder.told.clear()
    assert folder.check().untold == [f"event {folder.event.pk}"]
