import pytest

from doh.exceptions import BadHeadersError
from doh.wire.headers import check_headers
from tests.wire.transports import job_for


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer a.b-c_d=="},
        {"X-Api-Key": "!"},
        {"User-Agent": "mine/1.0 (a; b)"},
        {f"X-{number}": "v" for number in range(20)},
    ],
)
def test_what_may_be_sent(headers):
    assert check_headers(headers) == tuple(headers.items())


@pytest.mark.parametrize(
    "name",
    ["Host", "HOST", "Content-Length", "Transfer-Encoding", "Connection", "Cookie", "Content-Type",
     "webhook-id", "Webhook-Signature", "webhook-", "Doh-Event", "doh-anything", "Proxy-Connection",
     "Content-Encoding", "Expect", "TE", "Trailer", "Upgrade", "Keep-Alive", "X-Hub-Signature-256"],
)  # fmt: skip
def test_what_is_ours_or_the_connections_is_reserved(name):
    with pytest.raises(BadHeadersError, match=f"{name} can't be a custom header: it is reserved"):
        check_headers({name: "x"})


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "X Y",
        "X:Y",
        "X\r\nY",
        "X\0",
        "X_Y",
        "Doh_Event",
        "é",
        "-X",
        "1X",
        "X\n",
        "a" * 101,
        7,
    ],
)
def test_a_name_that_could_mean_something_else_is_refused(name):
    with pytest.raises(BadHeadersError, match="is no header name"):
        check_headers({name: "x"})


@pytest.mark.parametrize(
    "value",
    ["", " ", " x", "x ", "a\r\nX-B: c", "a\n", "\n", "a\rb", "a\0b", "a\tb", "é", "\x7f", None, 7,
     ["x"], "x" * 4097],
)  # fmt: skip
def test_a_value_that_could_break_out_is_refused_and_not_repeated(value):
    with pytest.raises(BadHeadersError, match=r"^the value of X-Key must be text of 1 to 4096"):
        check_headers({"X-Key": value})


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([("X", "y")], "must be a dict"),
        ({f"X-{number}": "v" for number in range(21)}, "more than 20"),
        ({"X-A": "a" * 4000, "X-B": "b" * 4000, "X-C": "c" * 200}, "more than 8192 characters"),
        ({"X-Key": "a", "x-key": "b"}, "given twice"),
    ],
)
def test_the_whole_of_it_has_bounds(headers, problem):
    with pytest.raises(BadHeadersError, match=problem):
        check_headers(headers)


def test_every_transport_sends_them(post, receiver):
    post.transport.post(
        job_for(receiver.url("/"), headers=(("X-Api-Key", "a b"), ("user-agent", "m")))
    )
    headers = receiver.posts[0].headers
    assert (headers["x-api-key"], headers["user-agent"]) == ("a b", "m")
