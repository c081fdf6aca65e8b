"""The tables: hooks, and the ledger of what is owed to them."""

from doh.models.hooks import (
    ACTION_LENGTH,
    CHANGED,
    CREATED,
    DELETED,
    KEY_LENGTH,
    Hook,
    ObjectForeignKey,
    content_type_of,
    validate_headers,
    validate_target,
)
from doh.models.ledger import (
    DETAIL_LENGTH,
    Attempt,
    Batch,
    Delivery,
    Event,
    Heartbeat,
    new_uid,
)

__all__ = [
    "ACTION_LENGTH",
    "CHANGED",
    "CREATED",
    "DELETED",
    "DETAIL_LENGTH",
    "KEY_LENGTH",
    "Attempt",
    "Batch",
    "Delivery",
    "Event",
    "Heartbeat",
    "Hook",
    "ObjectForeignKey",
    "content_type_of",
    "new_uid",
    "validate_headers",
    "validate_target",
]
