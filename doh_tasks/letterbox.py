"""``python -m doh_tasks.letterbox -A project``: read the broker's dead letter queue empty."""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from enum import StrEnum
from typing import Any, Final, TextIO

from celery import Celery
from celery.app.utils import find_app

from doh_tasks.queues import DEAD_LETTER_QUEUE, REPORT, TASK_ROUTES

#: What RabbitMQ notes down of a message's deaths: one that is sent again starts afresh.
_DEATH: Final = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired")
_PROPERTIES: Final = ("correlation_id", "reply_to", "priority")


class Others(StrEnum):
    """What becomes of messages that are no reports: they killed whoever took them."""

    KEPT = "kept"
    RESENT = "resent"
    DROPPED = "dropped"


def empty(
    app: Celery, out: TextIO, others: Others = Others.KEPT, limit: int | None = None
) -> Counter[str]:
    """Write a line of JSON for each message and take it off; returns how many became what.

    A message is acknowledged once its line is written, and its copy published if it is kept or
    sent again: a crash in between repeats a line, and loses nothing. It ends: only messages that
    were there at the start are looked at.
    """
    found: Counter[str] = Counter()
    with app.connection_for_write() as connection, connection.channel() as channel:
        queue: Any = app.amqp.queues[DEAD_LETTER_QUEUE](channel)
        try:
            there = queue.queue_declare(passive=True).message_count
        except connection.channel_errors:  # An empty list is no list, on Redis.
            return found
        with app.amqp.Producer(channel) as producer:
            for _ in range(there if limit is None else min(there, limit)):
                message = queue.get(no_ack=False, accept=["json"])
                if message is None:
                    break
                for line in _take(producer, message, others, found):
                    out.write(json.dumps(line) + "\n")
                out.flush()
                message.ack()
    return found


def _take(
    producer: Any, message: Any, others: Others, found: Counter[str]
) -> list[dict[str, object]]:
    """The lines of a message, which is published again unless it ends here."""
    task, letters = _read(message)
    if letters is not None:
        found["read"] += 1
        names = ("delivery", "event", "hook", "reason")
        return [dict(zip(names, letter, strict=True)) for letter in letters]
    home = _home(message, task) if others is Others.RESENT else DEAD_LETTER_QUEUE
    became = Others.KEPT if home is None else others
    if became is not Others.DROPPED:
        _publish(producer, message, home or DEAD_LETTER_QUEUE)
    found[became] += 1
    return [{"task": task, "became": str(became)}]


def _read(message: Any) -> tuple[str | None, list[list[object]] | None]:
    """The task that a message is for, and the dead letters in it if it is a report."""
    task = (message.headers or {}).get("task")
    if task != REPORT:
        return task, None
    try:
        ((letters,), _kwargs, _embed) = message.payload
        if all(len(letter) == 4 for letter in letters):
            return task, letters
    except Exception:  # noqa: BLE001, S110 - whatever it is, it is no report of ours
        pass
    return task, None


def _home(message: Any, task: str | None) -> str | None:
    """The queue that a message died on, or that its task goes to; None if nobody knows."""
    deaths = (message.headers or {}).get("x-death") or [{}]
    return deaths[0].get("queue") or TASK_ROUTES.get(task or "", {}).get("queue")


def _publish(producer: Any, message: Any, queue: str) -> None:
    headers = {
        name: value for name, value in message.headers.items() if not name.startswith(_DEATH)
    }
    known = message.properties
    producer.publish(
        message.body,
        exchange="",
        routing_key=queue,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=headers,
        **{name: known[name] for name in _PROPERTIES if known.get(name) is not None},
    )


def main(arguments: list[str] | None = None) -> None:
    """Read the queue of a Celery app."""
    parser = ArgumentParser(prog="python -m doh_tasks.letterbox", description=__doc__)
    parser.add_argument("-A", "--app", required=True, help="The Celery app, as celery -A has it.")
    parser.add_argument("--limit", type=int, help="Look at so many messages at most.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--resend", action="store_true", help="Send messages of other tasks to their queues again."
    )
    what.add_argument("--drop", action="store_true", help="Take those off, too.")
    chosen = parser.parse_args(arguments)
    others = Others.KEPT
    if chosen.resend or chosen.drop:
        others = Others.RESENT if chosen.resend else Others.DROPPED
    found = empty(find_app(chosen.app), sys.stdout, others, chosen.limit)
    sys.stderr.write(", ".join(f"{number} {what}" for what, number in found.items()) + "\n")


if __name__ == "__main__":
    main()
