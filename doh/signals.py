"""The signals a project may send or receive."""

from django.dispatch import Signal

#: Send it to tell an object's hooks of an event of your own::
#:
#:     hook_event.send(sender=Vehicle, instance=bus, action="crashed", payload={})
#:
#: ``payload=None`` asks the model's payload methods; any other value is sent as it is, and a
#: ``str`` is taken as JSON already dumped.
hook_event = Signal()

#: Sent by a worker, with ``error``, when the Redis that rate limits and circuit breakers live in
#: does not answer: POSTs are made without them meanwhile.
limits_unavailable = Signal()
