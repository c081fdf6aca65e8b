"""The deliverers that the settings can name.

==================================  ==============================================
``deliver_hooks``                   collection, synchronous: the default
``deliver_hooks_using_task``        collection, by Celery workers
``deliver_hooks_using_eventlet``    collection and POSTs, by eventlet in this process
``…_using_eventlet_task``           the same inside a Celery task
``deliver_hook``                    one target, synchronous: the default
``deliver_hook_using_task``         one target, by Celery workers
==================================  ==============================================
"""

from doh.deliverers.base import HookDeliverer, HooksDeliverer
from doh.deliverers.eventlet import EventletHooksDeliverer

deliver_hooks = HooksDeliverer.deliver
deliver_hooks_using_task = HooksDeliverer.delay
deliver_hooks_using_eventlet = EventletHooksDeliverer.deliver
deliver_hooks_using_eventlet_task = EventletHooksDeliverer.delay
deliver_hook = HookDeliverer.deliver
deliver_hook_using_task = HookDeliverer.delay

__all__ = [
    "EventletHooksDeliverer",
    "HookDeliverer",
    "HooksDeliverer",
    "deliver_hook",
    "deliver_hook_using_task",
    "deliver_hooks",
    "deliver_hooks_using_eventlet",
    "deliver_hooks_using_eventlet_task",
    "deliver_hooks_using_task",
]
