"""Fuzz what is accepted at save: ``python -m tests.conformance.fuzz_targets -runs=N CORPUS``.

Whatever our parser accepts must be read alike by those that see it later (urllib3 under requests,
libcurl), be its own canonical spelling, and, if it is an address, be one by everybody's reading.
What is accepted as a header must fit on one line. The options are libFuzzer's.
"""

import re
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["doh", "idna"]):
    from doh.exceptions import BadHeadersError, BadTargetError
    from doh.wire.headers import check_headers
    from doh.wire.target import MAX_TARGET, Target, parse_target

import pycurl
import urllib3

from doh.wire.addresses import parse_address
from tests.bad_targets import PUBLIC, REFUSED_AT_CONNECT, REFUSED_AT_SAVE

_CANONICAL = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[1-9][0-9]*)?([/?][!-~]*)?")
_USUAL = {"http": 80, "https": 443}


def fuzz(data: bytes) -> None:
    """One input: a target, or a header."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        check_target(provider.ConsumeUnicode(MAX_TARGET + 1))
    elif provider.ConsumeBool():
        rest = provider.ConsumeUnicode(MAX_TARGET)
        check_target(
            provider.PickValueInList(["http://", "https://", "http://[", "HTTP://"]) + rest
        )
    else:
        check_header(provider.ConsumeUnicode(50), provider.ConsumeUnicode(200))


def check_target(url: str) -> None:
    """A target is refused with our own error, or accepted and unambiguous."""
    try:
        target = parse_target(url)
    except BadTargetError:
        return
    assert _CANONICAL.fullmatch(target.url), target
    assert parse_target(target.url) == target, target
    theirs = urllib3.util.parse_url(target.url)
    found = ((theirs.host or "").strip("[]"), theirs.port or _USUAL[target.scheme], theirs.scheme)
    assert found == (target.host, target.port, target.scheme), (target, found)
    assert by_libcurl(target) == (target.host, target.port, target.scheme), target
    assert theirs.auth is None, target
    last = target.host.rpartition(".")[2]
    if ":" in target.host or last.isdigit() or last.startswith("0x"):
        assert parse_address(target.host) is not None, target


def by_libcurl(target: Target) -> tuple[str, int, str]:
    """How libcurl reads a target."""
    url = pycurl.CurlUrl()
    url.url = target.url
    assert url.user is None
    assert url.password is None
    return url.host.strip("[]"), int(url.port or _USUAL[target.scheme]), url.scheme


def check_header(name: str, value: str) -> None:
    """A header is refused with our own error, or fits on one line."""
    try:
        check_headers({name: value})
    except BadHeadersError:
        return
    line = f"{name}: {value}"
    assert line.isascii(), line
    assert line.isprintable(), line


def main() -> None:
    """Fuzz, beginning with what is known."""
    folders = [Path(one) for one in sys.argv[1:] if not one.startswith("-")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        hosts = [f"http://[{host}]/" if ":" in host else f"http://{host}/" for host in KNOWN]
        for number, text in enumerate([*REFUSED_AT_SAVE, *hosts]):
            # As the provider reads it: ASCII follows (the first byte), a whole target (the last).
            seed = b"\x01" + text.encode("ascii", "replace") + b"\x01"
            (folder / f"known-{number}").write_bytes(seed)
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()


KNOWN = (*PUBLIC, *REFUSED_AT_CONNECT, "example.com", "bücher.example", "xn--bcher-kva.example")

if __name__ == "__main__":
    main()
