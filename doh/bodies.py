"""The bodies of a batch: what each of its pairs is sent."""

from collections.abc import Callable
from contextlib import suppress

from django.db.models import Model

from doh.exceptions import PayloadError, reason_of
from doh.journal import BatchClaim, EventRow, Journal, Owed
from doh.models import Hook
from doh.payloads import Dump, render, restore_snapshot

#: Finds the ``dump_payload`` of the deliverer at a dotted path.
DumpFor = Callable[[str], Dump]


class Bodies:
    """Each is the event's own, one kept from an earlier look, or a fresh one."""

    def __init__(self, journal: Journal, claim: BatchClaim, dump_for: DumpFor) -> None:
        self.rendered: dict[str, str] = {}
        self._stored = dict(claim.bodies or {})
        self._alias = journal.alias
        self._dump_for = dump_for
        self._hook_ids = {owed.hook_id for owed in claim.owed}
        self._hooks: dict[int, Hook] | None = None
        self._instances: dict[int, Model] = {}

    def body(self, owed: Owed, event: EventRow) -> str:
        """The body of one pair; raises `PayloadError` with the reason if it has none."""
        if event.payload is not None:
            return event.payload
        kept = self.kept(owed)
        if kept is not None:
            return kept
        if event.snapshot is None:
            raise PayloadError(event.error or "the payload was not kept")
        text = render(self._instance(event), self._hook(owed), self._dump_for(event.deliverer))
        self.rendered[owed.key] = text
        return text

    def keep(self, owed: Owed, event: EventRow) -> None:
        """Render it for a hook that may be enabled later: the snapshot goes with its event."""
        with suppress(PayloadError):
            self.body(owed, event)

    def kept(self, owed: Owed) -> str | None:
        """The rendered body of a pair, None if the event holds it or there is none."""
        if owed.body is not None or not (self.rendered or self._stored):
            return owed.body
        key = owed.key
        return self.rendered.get(key, self._stored.get(key))

    def all(self) -> dict[str, str]:
        """Every rendered body, to be stored with the batch."""
        return self._stored | self.rendered

    def _hook(self, owed: Owed) -> Hook:
        if self._hooks is None:
            # Without its secret: one that can't be read must not stop its neighbours.
            hooks = Hook.objects.using(self._alias).select_related("content_type")
            self._hooks = hooks.defer(*Hook.ENCRYPTED).in_bulk(self._hook_ids)
        try:
            return self._hooks[owed.hook_id]
        except KeyError as error:
            raise PayloadError("the hook is gone") from error

    def _instance(self, event: EventRow) -> Model:
        if event.id not in self._instances:
            try:
                self._instances[event.id] = restore_snapshot(
                    event.label, event.snapshot or "", event.using
                )
            except Exception as error:
                raise PayloadError(f"the snapshot can't be read: {reason_of(error)}") from error
        return self._instances[event.id]
