"""Every way to send that the package has, behind one face: targets in, what became of them out."""

from collections.abc import Iterable
from dataclasses import dataclass

from doh.deliverers import deliver_hook, deliver_hook_using_task
from doh.exceptions import BadTargetError
from doh.models import Delivery, Hook
from tests.app.models import Vehicle
from tests.workers import Workers, wait_until

TASK, ELEMENT_TASK = (
    "doh.deliverers.deliver_hooks_using_task",
    "doh.deliverers.deliver_hook_using_task",
)


@dataclass(frozen=True)
class Sent:
    """What became of one target: status, whether the guard refused it, what its owner reads."""

    status: str
    blocked: bool
    detail: str


class HookSender:
    """Hooks on one object, told of one save."""

    def __init__(self, workers: Workers | None, **settings: object) -> None:
        self.workers = workers
        self.settings = settings

    def send(self, targets: Iterable[str], user: object) -> dict[str, Sent]:
        """Save an object that every target listens to, and wait until each has its outcome."""
        bus = Vehicle.objects.create(name="55")
        wanted = dict.fromkeys(targets)
        fields = {"user": user, "content_object": bus}
        # Past the checks of a save: this is about what happens when it is sent.
        Hook.objects.bulk_create([Hook(target=target, **fields) for target in wanted])
        hooks = dict(Hook.objects.filter(object_id=str(bus.pk)).values_list("pk", "target"))
        bus.save()
        rows = Delivery.objects.filter(hook_id__in=hooks)
        wait_until(lambda: rows.count() == len(wanted), self._explain, 110)
        return {hooks[row.hook_id]: Sent(row.status, row.blocked, row.detail) for row in rows}

    def _explain(self) -> str:
        return "" if self.workers is None else self.workers.log("element")[-5000:]


class DirectSender:
    """``deliver_hook(target, payload)``, called by a project outside of any event."""

    workers = None
    settings: dict[str, object] = {}

    def send(self, targets: Iterable[str], user: object) -> dict[str, Sent | None]:
        """Call it for each; it returns a response or None, and says no more."""
        return {target: self._send(target) for target in targets}

    def _send(self, target: str) -> Sent | None:
        try:
            response = deliver_hook(target, "{}")
        except BadTargetError:
            return None
        return None if response is None else Sent("succeeded", False, "")


class QueuedDirectSender:
    """The same through Celery: nothing is known of it here."""

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.settings = {"HOOK_COLLECTION_DELIVERER": TASK}

    def send(self, targets: Iterable[str], user: object) -> dict[str, Sent | None]:
        """Have each posted once, and wait until the worker has said so of all of them."""
        wanted = dict.fromkeys(targets)
        before = self._said()
        for target in wanted:
            deliver_hook_using_task(target, "{}")
        wait_until(lambda: self._said() >= before + len(wanted), self._explain, 110)
        return wanted

    def _said(self) -> int:
        log = self.workers.log("element")
        return log.count("POST to ") + log.count("POST was not made")

    def _explain(self) -> str:
        return self.workers.log("element")[-5000:]
