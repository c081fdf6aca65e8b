"""Hooks of every kind in the sample project, and a vehicle that is saved until somebody ends it.

``python -m tests.deployment.traffic SOUND FAILING`` (URLs), with the sample project's environment.
"""

import signal
import sys
import threading

import django


def main(sound: str, failing: str) -> None:
    """Register a healthy, a failing, a limited and a deaf receiver; save."""
    django.setup()
    from django.contrib.auth import get_user_model
    from vehicles.models import Vehicle

    from doh.models import Hook

    user = get_user_model().objects.create(username="traffic")
    bus = Vehicle.objects.create(type="bus", name="55")
    for path, fields in (
        (f"{sound}/healthy", {}),
        (f"{failing}/status/500", {}),
        (f"{sound}/limited", {"rate_limit": "1/h"}),
        ("http://127.0.0.1:1/deaf", {}),
    ):
        Hook.objects.create(user=user, content_object=bus, target=path, **fields)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    while not over.wait(0.2):
        bus.save()


if __name__ == "__main__":
    main(*sys.argv[1:])
