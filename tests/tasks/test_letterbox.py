"""The broker's dead-letter queue is read and emptied; nothing is lost, nothing goes round."""

import json
from io import StringIO

import pytest

from doh.journal import DeadLetter
from doh.names import DELIVER_BATCH
from doh_tasks.dead_letter import bury
from doh_tasks.letterbox import Others, empty, main
from doh_tasks.queues import DEAD_LETTER_QUEUE, ELEMENT_QUEUE
from tests.celery_app import app
from tests.workers import wait_until


def size(queue):
    with app.connection_for_read() as connection, connection.channel() as channel:
        try:
            return app.amqp.queues[queue](channel).queue_declare(passive=True).message_count
        except connection.channel_errors:
            return 0


def read(others=Others.KEPT, **how):
    out = StringIO()
    found = empty(app, out, others, **how)
    return dict(found), [json.loads(line) for line in out.getvalue().splitlines()]


def publish(body, **how):
    with app.producer_pool.acquire() as producer:
        producer.publish(body, exchange="", routing_key=DEAD_LETTER_QUEUE, **how)


@pytest.fixture
def box(broker):
    """Two reports, a task message that was sent to the dead letters, and something else."""
    bury([DeadLetter(1, 2, 3, "500"), DeadLetter(4, 5, 6, "gone")])
    bury([DeadLetter(7, 8, 9, "no answer")])
    app.send_task(DELIVER_BATCH, (7, 3), queue=DEAD_LETTER_QUEUE, ignore_result=True)
    publish(b"\xff not ours", content_type="application/data", content_encoding="binary")
    wait_until(lambda: size(DEAD_LETTER_QUEUE) == 4)


def test_reports_are_read_once_and_what_is_no_report_is_kept(box):
    found, lines = read()
    assert found == {"read": 2, "kept": 2}
    assert [line["reason"] for line in lines if "reason" in line] == ["500", "gone", "no answer"]
    assert lines[0] == {"delivery": 1, "event": 2, "hook": 3, "reason": "500"}
    assert {"task": DELIVER_BATCH, "became": "kept"} in lines
    for _ in range(3):
        wait_until(lambda: size(DEAD_LETTER_QUEUE) == 2)
        assert read()[0] == {"kept": 2}


def test_a_task_message_goes_back_to_its_queue_as_it_was(box):
    assert read(Others.RESENT)[0] == {"read": 2, "resent": 1, "kept": 1}
    with app.connection_for_read() as connection, connection.channel() as channel:
        queue = app.amqp.queues[ELEMENT_QUEUE](channel)
        found = []
        wait_until(lambda: (message := queue.get()) is not None and not found.append(message))
        assert found[0].headers["task"] == DELIVER_BATCH
        assert found[0].payload[0] == [7, 3]
        found[0].ack()


def test_the_queue_can_be_emptied(box):
    assert read(Others.DROPPED, limit=3)[0] == {"read": 2, "dropped": 1}
    assert read(Others.DROPPED)[0] == {"dropped": 1}
    assert read(Others.DROPPED)[0] == {}
    assert size(DEAD_LETTER_QUEUE) == 0


def test_a_message_whose_line_could_not_be_written_stays(box):
    class Full(StringIO):
        def write(self, text):
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        empty(app, Full())
    wait_until(lambda: size(DEAD_LETTER_QUEUE) == 4)
    wait_until(lambda: read()[0] == {"read": 2, "kept": 2})


def test_a_message_that_kills_its_workers_comes_here_and_may_go_back(broker, rabbit):
    if not rabbit:
        pytest.skip("only RabbitMQ counts how often a message was handed out")
    app.send_task(DELIVER_BATCH, (7, 3), ignore_result=True)
    with app.connection_for_read() as connection, connection.channel() as channel:
        queue = app.amqp.queues[ELEMENT_QUEUE](channel)

        def die():
            message = queue.get()
            if message is not None:
                message.requeue()
            return size(DEAD_LETTER_QUEUE) == 1

        wait_until(die)
    assert read()[1] == [{"task": DELIVER_BATCH, "became": "kept"}]
    wait_until(lambda: size(DEAD_LETTER_QUEUE) == 1)
    assert read(Others.RESENT)[0] == {"resent": 1}
    wait_until(lambda: size(ELEMENT_QUEUE) == 1)


def test_the_command_reads_the_queue_of_an_app(box, capsys):
    main(["-A", "tests.celery_app", "--drop"])
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 5
    assert "2 read, 2 dropped" in said.err
