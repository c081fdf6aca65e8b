"""Deliverers as a project would write them, and what they were called with."""

from doh.deliverers import deliver_hook, deliver_hooks
from doh.deliverers.base import HookDeliverer, HooksDeliverer

calls: list = []
#: What `element` answers: a value to return, or an exception to raise.
answers: list = []


def reset():
    calls.clear()
    answers.clear()


def nothing_now(**event):
    """Postpones every event: nothing is delivered by it."""
    raise RuntimeError("not now")


def collection(**event):
    calls.append(event)


def delegating(**event):
    calls.append(event)
    deliver_hooks(**event)


def delegating_to_class(**event):
    Collection.deliver(**event)


def element(target, payload):
    calls.append((target, payload))
    answer = answers.pop(0) if answers else None
    if isinstance(answer, Exception):
        raise answer
    return answer


def signed_element(target, payload):
    return deliver_hook(target, payload)


class Collection(HooksDeliverer):
    def dump_payload(self, payload):
        return '{"dumped":1}'

    def after_deliver(self, hooks):
        calls.append(("collection", hooks._result_cache, sorted(hook.pk for hook in hooks)))


class Element(HookDeliverer):
    def after_deliver(self, response):
        calls.append(("element", response))
        if answers:
            raise answers.pop(0)


custom_deliver_hooks = Collection.deliver
custom_deliver_hook = Element.deliver
no_callable = 7


def make_local():
    class Local(HooksDeliverer):
        pass

    return Local


local = make_local().deliver
