"""A web process of the tests' project: one vehicle is saved again and again, until SIGTERM.

``python -m tests.moving.web KEY``
"""

import signal
import sys
import threading

import django

from tests.celery_app import app

#: Seconds between two saves.
PAUSE = 0.02


def main(key: str) -> None:
    """Save; a save that has begun is ended."""
    django.setup()
    from tests.app.models import Vehicle

    app.set_default()
    bus = Vehicle.objects.get(pk=key)
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    print("saving", flush=True)
    while not over.wait(PAUSE):
        bus.save()


if __name__ == "__main__":
    main(*sys.argv[1:])
