"""Who may receive: asked for a whole batch at once, just before it is sent."""

import logging
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.contrib.auth import get_user_model

from doh import conf
from doh.exceptions import HookConfigurationError, reason_of, stack_of
from doh.types import Outcome, Pair, Verdict

logger = logging.getLogger(__name__)

#: Seconds until a pair is looked at again about which the project's callable could not decide:
#: that costs the hook none of its attempts.
UNDECIDED_PAUSE: Final = 60.0


class Candidate(NamedTuple):
    """A pair that is about to be sent: may this user be told this of this object?

    ``user_id`` owns the hook; ``label`` is ``app.model`` in lower case, ``object_id`` the key as
    text.
    """

    hook_id: int
    user_id: Any
    event_id: int
    label: str
    object_id: str
    action: str

    @property
    def pair(self) -> Pair:
        """What is owed, to whom."""
        return Pair(self.event_id, self.hook_id)


#: A project's own rule: takes the candidates of a batch, and returns those that may receive.
MayReceive = Callable[[Sequence[Candidate]], Iterable[Candidate]]


def refusals(
    owners: Mapping[Any, bool | None], candidates: Iterable[Candidate], alias: str
) -> dict[Pair, Outcome]:
    """The outcomes of those that are not to be sent: at most one query for owners, one call.

    ``owners`` are keys of users, and whether they may log in; None if only the user model knows.
    What the project's callable does not allow is cancelled; where it fails, nothing is sent, and
    it is asked again later. Where all owners are active and there is no callable, the candidates
    are not looked at, nor made.
    """
    inactive = {user_id for user_id, active in owners.items() if active is False}
    unknown = [user_id for user_id, active in owners.items() if active is None]
    if unknown:
        inactive |= _inactive(unknown, alias)
    if not inactive and conf.may_receive() is None:
        return {}
    refused: dict[Pair, Outcome] = {}
    asked = []
    for one in candidates:
        if one.user_id in inactive:
            refused[one.pair] = _no_post(Verdict.CANCELLED, "its owner is inactive")
        else:
            asked.append(one)
    return refused | _not_allowed(asked)


def may_receive() -> MayReceive | None:
    """The project's rule; None without one. Raises `HookConfigurationError`."""
    path = conf.may_receive()
    if path is None:
        return None
    try:
        found = pkgutil.resolve_name(path)
    except Exception as error:
        # Any: a module may fail at its import in any way.
        raise HookConfigurationError(
            f"HOOK_MAY_RECEIVE {path!r} can't be imported: {reason_of(error)}."
        ) from error
    if not callable(found):
        raise HookConfigurationError(f"HOOK_MAY_RECEIVE {path!r} is no callable.")
    return found  # type: ignore[no-any-return]


def _not_allowed(asked: Sequence[Candidate]) -> dict[Pair, Outcome]:
    try:
        rule = may_receive()
        if rule is None or not asked:
            return {}
        allowed = frozenset(rule(asked))
    except Exception as error:  # noqa: BLE001 - project code; what it can't decide is not sent
        logger.error("HOOK_MAY_RECEIVE failed, so nothing is sent yet: %s", stack_of(error))
        undecided = _no_post(Verdict.RETRY, "it could not be decided whether it may be received")
        return dict.fromkeys((one.pair for one in asked), undecided)
    refused = _no_post(Verdict.CANCELLED, "its owner may not receive it")
    return {one.pair: refused for one in asked if one not in allowed}


def _inactive(user_ids: Collection[Any], alias: str) -> set[Any]:
    """Those of some users who may not log in, as the attribute ``is_active`` has it."""
    model: Any = get_user_model()
    rule = getattr(model, "is_active", True)
    if isinstance(rule, bool):
        # Django's own attribute: such a model's users are all alike.
        return set() if rule else set(user_ids)
    users = model._base_manager.using(alias).filter(pk__in=user_ids)
    return {user.pk for user in users if not user.is_active}


def _no_post(verdict: Verdict, detail: str) -> Outcome:
    wait = UNDECIDED_PAUSE if verdict is Verdict.RETRY else None
    return Outcome(verdict, detail, attempted=False, retry_after=wait)
