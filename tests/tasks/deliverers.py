"""A project's deliverers; what they do is seen in the database, since workers run them."""

from django.contrib.auth import get_user_model

from doh.deliverers.base import HookDeliverer, HooksDeliverer
from doh.silence import silenced
from tests.app.models import Vehicle


def remark(name):
    with silenced():
        Vehicle.objects.create(name=name)


class Remarking(HooksDeliverer):
    def after_deliver(self, hooks):
        remark(f"told {hooks.count()}")


class Looking(HookDeliverer):
    def after_deliver(self, response):
        remark(f"looked {response.status_code}")


def ada_alone(candidates):
    (ada,) = get_user_model().objects.filter(username="ada")
    remark(f"asked {len(candidates)}")
    return [one for one in candidates if one.user_id == ada.pk]


def everybody(candidates):
    return candidates


def own_element(target, payload):
    remark(f"own {target[7:12]}")
