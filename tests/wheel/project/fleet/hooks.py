import json
import os
from pathlib import Path

from doh.deliverers.base import HookDeliverer, HooksDeliverer
from doh.models import Hook

TRACE = Path(__file__).parent.parent / f"trace-{os.environ['COLLECTION']}"


def note(line):
    with TRACE.open("a") as trace:
        trace.write(line + "\n")


class Collection(HooksDeliverer):
    def dump_payload(self, payload):
        return json.dumps(payload)

    def after_deliver(self, hooks):
        note(f"collection {hooks.count()}")


class Element(HookDeliverer):
    def after_deliver(self, response):
        note(f"element {response.status_code}")
        if response.status_code in (404, 410):
            Hook.object.filter(target=response.url).delete()


custom_deliver_hooks = Collection.deliver
custom_deliver_hook = Element.deliver
