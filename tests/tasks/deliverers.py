"""A project's deliverers; what they do is seen in the database, since workers run them."""

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


def own_element(target, payload):
    remark(f"own {target[7:12]}")
