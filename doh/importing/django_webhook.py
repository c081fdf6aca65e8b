"""django-webhook: a URL with many topics and secrets, owned by nobody."""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from doh.importing.foreign import Foreign, Skipped, rows_for, rows_of
from doh.models import CHANGED, CREATED, DELETED
from doh.wire.signing import SECRET_PREFIX

TABLE: Final = "django_webhook_webhook"
_ACTIONS: Final = {"create": CREATED, "update": CHANGED, "delete": DELETED}
_TOPICS: Final = (
    "SELECT link.webhook_id, topic.name FROM django_webhook_webhook_topics link"
    " JOIN django_webhook_webhooktopic topic ON topic.id = link.webhooktopic_id"
    " WHERE link.webhook_id IN ({ids}) ORDER BY topic.name"
)
_SECRETS: Final = (
    "SELECT webhook_id, token FROM django_webhook_webhooksecret"
    " WHERE webhook_id IN ({ids}) ORDER BY created, id"
)


def read(alias: str, user_id: Any) -> Iterator[list[Foreign | Skipped]]:
    """Its webhooks in chunks: one hook per topic, owned by the user that is given."""
    for rows in rows_of(alias, TABLE, ("id", "url", "active")):
        ids = [row[0] for row in rows]
        topics = defaultdict(list)
        for webhook_id, name in rows_for(alias, _TOPICS, ids):
            topics[webhook_id].append(name)
        # The newest is the one to sign with: it comes last.
        secrets = dict(rows_for(alias, _SECRETS, ids))
        yield [
            one
            for pk, url, active in rows
            for one in _hooks(pk, topics[pk], url, bool(active), secrets.get(pk), user_id)
        ]


def _hooks(
    pk: int, topics: Sequence[str], url: str, active: bool, token: str | None, user_id: Any
) -> Iterator[Foreign | Skipped]:
    secret = None if token is None else as_secret(token)
    if not topics:
        yield Skipped(f"webhook {pk}", "it has no topic")
    for topic in topics:
        name = f"webhook {pk}, topic {topic}"
        label, _, action = topic.partition("/")
        if action in _ACTIONS:
            yield Foreign(name, user_id, label, _ACTIONS[action], url, active, secret)
        else:
            yield Skipped(name, "its topic does not end with /create, /update or /delete")


def as_secret(token: str) -> str:
    """A token as a secret here: the same bytes are the key of both signatures."""
    return SECRET_PREFIX + b64encode(token.encode()).decode()
