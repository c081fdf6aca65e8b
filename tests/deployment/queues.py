"""Which queues a deployment consumes, and which it must."""

from collections.abc import Iterable, Sequence

from doh_tasks.queues import DEAD_LETTER_QUEUE, task_queues


def needed() -> set[str]:
    """Every queue but that of the dead letters, which is for somebody to read."""
    return {queue.name for queue in task_queues("redis://")} - {DEAD_LETTER_QUEUE}


def queues_of(commands: Iterable[Sequence[str]]) -> set[str]:
    """The queues that workers among some commands consume."""
    names: set[str] = set()
    for command in commands:
        if "-Q" in command:
            names |= set(command[command.index("-Q") + 1].split(","))
    return names
