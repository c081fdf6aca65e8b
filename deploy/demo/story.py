"""What happens in the demo, and what must have come of it."""

from dataclasses import dataclass, field

from receivers import Post, Receivers

#: Deliveries that the story makes: four for the saved bus, one crash, one deletion.
DELIVERIES = 6


@dataclass(frozen=True)
class Result:
    """What the ledger, the receivers and the result hooks say at the end."""

    delivered: int = 0
    retried: int = 0
    disabled_by_410: int = 0
    dead_letters: int = 0
    collections_remarked: int = 0
    responses_remarked: int = 0
    posts: list[Post] = field(default_factory=list)


def begin(receivers: Receivers) -> None:
    """Register the hooks, then save bus 55, crash it, and delete tram 7."""
    from django.contrib.auth import get_user_model
    from vehicles.models import Vehicle

    from doh.signals import hook_event

    user = get_user_model().objects.get_or_create(username="ada")[0]
    bus = Vehicle.objects.create(type="bus", name="55", speed=30)
    tram = Vehicle.objects.create(type="tram", name="7")
    for name in ("healthy", "flaky", "gone", "broken"):
        register(receivers, name, user, bus, "changed")
    register(receivers, "healthy", user, bus, "crashed")
    register(receivers, "healthy", user, tram, "deleted")

    bus.speed = 50
    bus.save()
    hook_event.send(sender=Vehicle, instance=bus, action="crashed", payload={"speed": 50})
    tram.delete()


def register(receivers: Receivers, name: str, user: object, vehicle: object, action: str) -> None:
    """Register a hook, and give the receiver its secret."""
    from doh.models import Hook

    hook = Hook.objects.create(
        user=user, content_object=vehicle, action=action, target=receivers.url(name)
    )
    receivers.trust(name, hook.secret)


def settled() -> int:
    """Deliveries that are owed no more."""
    from doh.models import Delivery

    return Delivery.objects.exclude(status=Delivery.Status.WAITING).count()


def result(posts: list[Post]) -> Result:
    """Read off what came of it."""
    from vehicles.models import Remark

    from doh.models import Delivery, Hook

    succeeded = Delivery.objects.filter(status=Delivery.Status.SUCCEEDED)
    return Result(
        delivered=succeeded.filter(attempts=1).count(),
        retried=succeeded.filter(attempts__gt=1).count(),
        disabled_by_410=Hook.objects.filter(disabled_reason__contains="410").count(),
        dead_letters=Delivery.objects.dead().count(),
        collections_remarked=Remark.objects.filter(kind="collection").count(),
        responses_remarked=Remark.objects.filter(kind="element").count(),
        posts=list(posts),
    )


def missing(found: Result) -> list[str]:
    """What should have happened and did not, each in a sentence; empty if all is well."""
    unverified = [post for post in found.posts if not post.verified]
    expectations = [
        (found.delivered == 3, f"3 deliveries at the first attempt, not {found.delivered}"),
        (found.retried == 1, f"1 delivery after retries, not {found.retried}"),
        (found.disabled_by_410 == 1, f"1 hook disabled by 410, not {found.disabled_by_410}"),
        (found.dead_letters == 1, f"1 dead letter, not {found.dead_letters}"),
        (
            found.collections_remarked == 3,
            f"after_deliver(hooks) once for each of 3 events, not {found.collections_remarked}",
        ),
        (
            found.responses_remarked == len(found.posts),
            f"{len(found.posts)} times after_deliver(response), not {found.responses_remarked}",
        ),
        (not unverified, f"every signature verified, not {len(unverified)} refused"),
        (bool(found.posts), "POSTs, and there was none"),
    ]
    return [f"There should be {what}." for held, what in expectations if not held]
