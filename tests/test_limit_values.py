"""Limits as people write them."""

import pytest
from django.core.exceptions import ValidationError

from doh import conf
from doh.exceptions import BadRateError, HookConfigurationError
from doh.limits import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate", "period", "burst"),
    [
        ("10/s", Rate(10, 1), 0.1, 10),
        ("600/m", Rate(600, 60), 0.1, 10),
        ("1000/h", Rate(1000, 3600), 3.6, 1),
    ],
)
def test_a_rate_is_a_number_and_a_unit(text, rate, period, burst):
    found = parse_rate(text)
    assert (found, found.period, found.burst) == (rate, pytest.approx(period), burst)


@pytest.mark.parametrize(
    "text", ["", "10", "0/s", "-1/s", "1.5/s", "10/d", "10 /s", "ten/s", "٣/s"]
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(BadRateError, match="'10/s'"):
        parse_rate(text)


def test_a_hook_with_a_bad_rate_is_not_saved(hook_on, user):
    with pytest.raises(ValidationError, match="is no rate"):
        hook_on(user, rate_limit="fast")


def test_the_error_stands_at_its_field(hook_on, user):
    hook = hook_on(user, rate_limit="600/m")
    hook.rate_limit = "fast"
    with pytest.raises(ValidationError) as caught:
        hook.full_clean()
    assert set(caught.value.message_dict) == {"rate_limit"}


def test_a_host_has_the_limit_that_names_it_best(settings):
    settings.HOOK_RATE_LIMIT = {
        "host": "50/s",
        "hosts": {"A.example": "5/s", "a.example:8443": "7/s", "free.example": None},
    }
    limit = conf.rate_limit()
    hosts = ["a.example", "a.example:8443", "a.example:80", "b.example", "free.example"]
    found = [limit.of_host(host) for host in hosts]
    assert [rate and rate.number for rate in found] == [5, 7, 5, 50, None]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("10/s", r"HOOK_RATE_LIMIT must be a dict .* 'global', 'host', 'hosts', not '10/s'"),
        ({"glbal": "1/s"}, "HOOK_RATE_LIMIT must be a dict"),
        ({"host": "fast"}, r"HOOK_RATE_LIMIT\['host'\]: 'fast' is no rate.*'10/s'"),
        ({"hosts": ["a"]}, r"HOOK_RATE_LIMIT\['hosts'\] must be a dict of host and rate"),
        ({"hosts": {"a": 5}}, r"HOOK_RATE_LIMIT\['hosts'\]\['a'\]: '5' is no rate"),
    ],
)
def test_a_bad_limit_is_named_by_its_place(settings, value, message):
    settings.HOOK_RATE_LIMIT = value
    with pytest.raises(HookConfigurationError, match=message):
        conf.rate_limit()


def test_a_circuit_breaker_is_on_unless_it_is_none(settings):
    assert conf.circuit_breaker() == (5, 0.7, 10, 300, 30, 3600)
    settings.HOOK_CIRCUIT_BREAKER = {"failures": 3}
    assert conf.circuit_breaker().failures == 3
    settings.HOOK_CIRCUIT_BREAKER = None
    assert conf.circuit_breaker() is None


@pytest.mark.parametrize("value", [True, {"pauses": 3}, {"pause": 0}, {"pause": True}])
def test_bad_terms_of_a_circuit_breaker_are_refused(settings, value):
    settings.HOOK_CIRCUIT_BREAKER = value
    with pytest.raises(HookConfigurationError, match="HOOK_CIRCUIT_BREAKER"):
        conf.circuit_breaker()
