from dataclasses import replace

import pytest
from receivers import Post
from story import Result, missing

GOOD = Result(
    delivered=3,
    retried=1,
    disabled_by_410=1,
    dead_letters=1,
    collections_remarked=3,
    responses_remarked=1,
    posts=[Post("healthy", "vehicles.vehicle.changed", "1", 1, 200, True)],
)


def test_a_demo_in_which_everything_happened_lacks_nothing():
    assert missing(GOOD) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"delivered": 2}, "first attempt"),
        ({"retried": 0}, "after retries"),
        ({"disabled_by_410": 0}, "410"),
        ({"dead_letters": 0}, "dead letter"),
        ({"collections_remarked": 2}, "after_deliver(hooks)"),
        ({"responses_remarked": 0}, "after_deliver(response)"),
        ({"posts": [replace(GOOD.posts[0], verified=False)]}, "signature"),
        ({"posts": [], "responses_remarked": 0}, "POSTs"),
    ],
)
def test_whatever_did_not_happen_is_said_in_a_sentence(change, word):
    (sentence,) = missing(replace(GOOD, **change))
    assert word in sentence
