"""Which headers a hook may add to its POSTs, and what may stand in them."""

import re
from collections.abc import Mapping
from typing import Final

from doh.exceptions import BadHeadersError

#: How many there may be, and how many characters names and values may have in total.
MAX_HEADERS: Final = 20
MAX_CHARACTERS: Final = 8192
# No underscore: servers that turn names into variables take it for a hyphen, so that somebody's
# Doh_Event would pass for ours.
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")
_VALUE: Final = re.compile(r"[!-~](?:[ -~]{0,4094}[!-~])?")
#: What frames the request, belongs to the connection, or is ours to say.
_RESERVED: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "cookie",
        "date",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    }
)
_RESERVED_PREFIXES: Final = ("content-", "doh-", "proxy-", "webhook-", "x-hub-signature")

Headers = tuple[tuple[str, str], ...]


def check_headers(headers: object) -> Headers:
    """The headers as pairs; raises `BadHeadersError` that names the header and the mend.

    The error names no value: those may be secret.
    """
    if not isinstance(headers, Mapping):
        raise BadHeadersError("custom headers must be a dict of names and values")
    if len(headers) > MAX_HEADERS:
        raise BadHeadersError(f"there are more than {MAX_HEADERS} custom headers")
    for name, value in headers.items():
        _check_name(name)
        _check_value(name, value)
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_CHARACTERS:
        raise BadHeadersError(f"the custom headers have more than {MAX_CHARACTERS} characters")
    if len({name.lower() for name in headers}) < len(headers):
        raise BadHeadersError("a custom header is given twice: case makes no difference in names")
    return tuple(headers.items())


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadHeadersError(
            f"{name!r:.120} is no header name: it takes a letter, then letters, digits and hyphens,"
            " 100 at most"
        )
    lowered = name.lower()
    if lowered in _RESERVED or lowered.startswith(_RESERVED_PREFIXES):
        raise BadHeadersError(f"{name} can't be a custom header: it is reserved")


def _check_value(name: str, value: object) -> None:
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise BadHeadersError(
            f"the value of {name} must be text of 1 to 4096 visible ASCII characters, with spaces"
            " only in between"
        )
