"""Write what was read as hooks, once: what is there already is left as it is."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models, transaction

from doh.importing.foreign import Foreign, Skipped
from doh.journal import get_journal, ledger_alias
from doh.models import ACTION_LENGTH, Hook, content_type_of
from doh.signing import validate_secret

_INACTIVE = "imported: it was not active"

#: What makes two hooks on every object of a model the same.
_Key = tuple[Any, int, str, str]


@dataclass(slots=True)
class Tally:
    """What came of it so far; ``skipped`` has the names by reason."""

    imported: int = 0
    present: int = 0
    skipped: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    labels: set[str] = field(default_factory=set)
    #: Names of those whose secret can't be signed with here: they get a fresh one.
    fresh: list[str] = field(default_factory=list)


def take_over(found: Sequence[Foreign | Skipped], tally: Tally, *, dry_run: bool) -> None:
    """Write one chunk in one transaction; running it again changes nothing."""
    hooks = [hook for one in found if (hook := _hook_of(one, tally)) is not None]
    hooks = _of_living_users(hooks, tally)
    with transaction.atomic(using=ledger_alias()):
        present = _present(hooks)
        for hook in hooks:
            key = _key(hook)
            if key in present:
                tally.present += 1
                continue
            present.add(key)
            tally.imported += 1
            if not dry_run:
                hook.save(using=ledger_alias(), force_insert=True)


def _hook_of(one: Foreign | Skipped, tally: Tally) -> Hook | None:
    if isinstance(one, Skipped):
        tally.skipped[one.why].append(one.name)
        return None
    try:
        model = apps.get_model(one.label)
        hook = _build(one, model)
    except (LookupError, ValueError):
        tally.skipped[f"{one.label!r} is no installed model"].append(one.name)
    except ValidationError as error:
        tally.skipped[" ".join(error.messages)].append(one.name)
    else:
        tally.labels.add(model._meta.label)
        if one.secret is not None and hook.secret != one.secret:
            tally.fresh.append(one.name)
        return hook
    return None


def _build(one: Foreign, model: type[models.Model]) -> Hook:
    """The hook, not yet written; raises ValidationError for a target that can't be used."""
    if not 0 < len(one.action) <= ACTION_LENGTH:
        raise ValidationError(f"the action must have 1 to {ACTION_LENGTH} characters")
    field_of: Any = Hook._meta.get_field("target")
    hook = Hook(
        user_id=get_user_model()._meta.pk.to_python(one.user_id),
        content_type=content_type_of(model, ledger_alias()),
        action=one.action,
        target=field_of.clean(one.target, None),
    )
    if one.secret is not None and _is_usable(one.secret):
        hook.secret = one.secret
    if not one.active:
        hook.disabled_at, hook.disabled_reason = get_journal().now(), _INACTIVE
    return hook


def _is_usable(secret: str) -> bool:
    """Whether hooks can be signed with a secret."""
    try:
        validate_secret(secret)
    except ValidationError:
        return False
    return True


def _of_living_users(hooks: Sequence[Hook], tally: Tally) -> list[Hook]:
    users = get_user_model()._base_manager.using(ledger_alias())
    known = set(users.filter(pk__in={hook.user_id for hook in hooks}).values_list("pk", flat=True))
    for hook in hooks:
        if hook.user_id not in known:
            tally.skipped[f"there is no user {hook.user_id!r} here"].append(hook.target)
    return [hook for hook in hooks if hook.user_id in known]


def _present(hooks: Sequence[Hook]) -> set[_Key]:
    rows = Hook.objects.using(ledger_alias()).filter(
        object_id=None, target__in={hook.target for hook in hooks}
    )
    return set(rows.values_list("user_id", "content_type_id", "action", "target"))


def _key(hook: Hook) -> _Key:
    return hook.user_id, hook.content_type_id, hook.action, hook.target
