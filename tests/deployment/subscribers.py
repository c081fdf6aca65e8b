"""One hook for each of some hosts, on the bus that ``drive`` saves.

``python -m tests.deployment.subscribers URL…``, with the sample project's environment.
"""

import sys

import django


def main(*targets: str) -> None:
    """Register them."""
    django.setup()
    from django.contrib.auth import get_user_model
    from vehicles.models import Vehicle

    from doh.models import Hook

    user = get_user_model().objects.create(username="ada")
    bus = Vehicle.objects.create(type="bus", name="55")
    for target in targets:
        Hook.objects.create(user=user, content_object=bus, target=target)


if __name__ == "__main__":
    main(*sys.argv[1:])
