import pytest

from tests.wire.transports import HASTY, Curl, Green, Inline, job_for


@pytest.fixture(params=[Inline, Green, Curl])
def make(request):
    """Makes a transport of each kind."""
    made = []

    def make(**options):
        made.append(request.param(**options))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def post(make):
    """Posts to a URL over each transport."""
    return _poster(make())


@pytest.fixture
def hasty_post(make):
    """The same, with no more than a second for each POST."""
    return _poster(make(limits=HASTY))


def _poster(transport):
    def post(target, body="{}"):
        return transport.post(job_for(target, body))

    post.transport = transport
    return post
