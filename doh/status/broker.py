"""What the broker says: whether it answers, and how many messages wait in each queue."""

from dataclasses import dataclass, field
from typing import Any, Final

#: Seconds that one answer of the broker may take.
TIMEOUT: Final = 2.0
#: What the names of our queues begin with.
_OURS: Final = "doh."


@dataclass(frozen=True, slots=True)
class Broker:
    """``error`` says why it did not answer, and is empty where it did."""

    queues: dict[str, int] = field(default_factory=dict)
    error: str = ""


def import_workers_modules() -> None:
    """Import what the current Celery app's workers import: it may bring gauges along."""
    from celery import current_app

    current_app.loader.import_default_modules()


def survey_broker() -> Broker:
    """Ask the current Celery app's broker, which has so many seconds and no second try."""
    try:
        return Broker(_lengths())
    except Exception as error:  # noqa: BLE001 - any broker, any client, any fault
        return Broker(error=type(error).__name__)


def _lengths() -> dict[str, int]:
    from celery import current_app

    names = sorted(name for name in current_app.amqp.queues if name.startswith(_OURS))
    options: dict[str, Any] = dict(current_app.conf.broker_transport_options or {})
    options |= {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "max_retries": 0}
    if str(current_app.conf.broker_url).startswith(("amqp", "pyamqp")):
        options = {"read_timeout": TIMEOUT, "write_timeout": TIMEOUT, "max_retries": 0}
    with current_app.connection_for_read(
        connect_timeout=TIMEOUT, transport_options=options
    ) as connection:
        connection.ensure_connection(max_retries=0)
        return {name: _length(connection, name) for name in names}


def _length(connection: Any, name: str) -> int:
    """Messages that wait; none where nobody has declared the queue yet.

    A channel of its own each: RabbitMQ closes the one on which an unknown queue was named.
    """
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(queue=name, passive=True).message_count)
    except connection.channel_errors:
        return 0
