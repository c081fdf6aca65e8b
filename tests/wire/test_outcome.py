from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from doh.types import Answer, Failure, Verdict
from doh.wire.outcome import judge, judge_status, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_success(status):
    assert judge_status(status, ()).verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize("status", [100, 301, 302, 304, 400, 404, 429, 500, 503, 599, 799])
def test_everything_else_is_tried_again(status):
    assert judge_status(status, ()).verdict is Verdict.RETRY


def test_410_disables_the_hook():
    outcome = judge_status(410, ())
    assert (outcome.verdict, bool(outcome.disable)) == (Verdict.GONE, True)


def test_a_redirect_is_called_one():
    assert judge_status(302, ()).detail == "302: redirects are not followed"
    assert judge_status(799, ()).detail == "799"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", 1),
        ("9999999", 86_400),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 1),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("9" * 500, 86_400),
    ],
)
def test_retry_after_is_read_in_both_forms_and_kept_in_bounds(value, seconds):
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(("status", "wait"), [(429, 9), (503, 9), (500, None), (200, None)])
def test_retry_after_counts_with_429_and_503_only(status, wait):
    answer = Answer(status, "", (("Retry-After", "9"),), b"", 0.5)
    outcome = judge(answer, "example.com")
    assert (outcome.retry_after, outcome.host, outcome.elapsed) == (wait, "example.com", 0.5)


@pytest.mark.parametrize("date", [(), (("Date", "yesterday"),)])
def test_a_date_to_come_back_at_goes_by_the_right_clock_if_the_receiver_tells_no_time(date):
    behind = timedelta(minutes=10)
    later = format_datetime(datetime.now(UTC) + 2 * behind, usegmt=True)
    answer = Answer(503, "", (("Retry-After", later), *date), b"", 0.5)
    wait = judge(answer, "example.com", drift=behind.total_seconds()).retry_after
    assert wait == pytest.approx(600, abs=60)


def test_no_answer_is_tried_again():
    outcome = judge(Failure("no connection within 5 s", 5.0), "example.com")
    assert (outcome.verdict, outcome.detail) == (Verdict.RETRY, "no connection within 5 s")
