"""django-rest-hooks: one row per user, event name and target; the names are in ``HOOK_EVENTS``."""

from collections.abc import Iterator, Mapping
from typing import Final

from doh.importing.foreign import Foreign, Skipped, rows_of
from doh.models import CHANGED

TABLE: Final = "rest_hooks_hook"
_ACTIONS: Final = {"updated": CHANGED}


def read(
    alias: str, table: str, events: Mapping[str, str | None], all_objects: bool
) -> Iterator[list[Foreign | Skipped]]:
    """Its hooks in chunks.

    An event without a ``+`` was told to the owner of the object only, while a hook here hears of
    every object of the model: such hooks are skipped unless ``all_objects`` says otherwise.
    """
    for rows in rows_of(alias, table, ("id", "user_id", "event", "target")):
        found: list[Foreign | Skipped] = []
        for pk, user_id, event, target in rows:
            name = f"hook {pk}"
            mapped = _map(events, event, all_objects)
            if isinstance(mapped, str):
                found.append(Skipped(name, mapped))
            else:
                found.append(Foreign(name, user_id, *mapped, target))
        yield found


def _map(events: Mapping[str, str | None], event: str, all_objects: bool) -> tuple[str, str] | str:
    """Model label and action of an event name, or why it has none."""
    if event not in events:
        return f"HOOK_EVENTS has no {event!r}: put the setting of django-rest-hooks back"
    source = events[event]
    if source is None:
        return f"{event!r} is a raw event, of no model: send it with hook_event instead"
    label, _, action = source.rpartition(".")
    everybody = action.endswith("+")
    if not everybody and not all_objects:
        return (
            f"{event!r} was told to the owner of the object only: limit hooks with"
            " HOOK_MAY_RECEIVE, and give --all-objects"
        )
    action = action.removesuffix("+")
    return label, _ACTIONS.get(action, action)
