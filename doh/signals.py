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

#: Sent once when a hook has failed for ``HOOK_WARN_AFTER`` days, after that was written: say so to
#: its owner. ``sender`` is `Hook`, ``hook`` the hook, ``since`` (datetime) its first failure after
#: its last success.
hook_failing = Signal()

#: Sent when the package disabled a hook, after the commit: it failed for ``HOOK_DISABLE_AFTER``
#: days, its receiver answered 410, or its target is no URL. ``sender`` is `Hook`, ``hook`` the
#: hook, ``reason`` a text. Not sent for one that your own code or the admin disables.
hook_disabled = Signal()
