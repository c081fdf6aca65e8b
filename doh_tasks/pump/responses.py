"""The ``requests.Response`` that a project's ``after_deliver`` gets for an answer over libcurl."""

from datetime import timedelta

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from doh_tasks.pump.flight import Seen


def build_response(seen: Seen) -> requests.Response:
    """A response as the synchronous transport would have given it: its URL is the stored target."""
    response = requests.Response()
    answer = seen.answer
    response.status_code = answer.status_code
    response.reason = answer.reason
    response.url = seen.target
    response.headers = CaseInsensitiveDict(answer.headers)
    response.encoding = get_encoding_from_headers(response.headers)
    response.elapsed = timedelta(seconds=answer.elapsed)
    response._content = answer.body
    response._content_consumed = True  # type: ignore[attr-defined]
    return response
