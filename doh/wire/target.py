"""Read the URL of a target, strictly, and write it in one canonical way.

Parsers of URLs disagree about the host of ``http://example.com\\@127.0.0.1/`` and its like. Only
what every parser reads alike is accepted here, so that it does not matter who reads it later.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

import idna

from doh.exceptions import BadTargetError
from doh.wire.addresses import parse_address

MAX_TARGET: Final = 2048
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(
    # ASCII: without it the long s of old prints passes for an s.
    r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?",
    re.IGNORECASE | re.ASCII,
)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
#: A last label of digits, or hexadecimal ones, makes browsers and libc read the whole host as an
#: IPv4 address. No name ends in anything else that begins like a number, so none may.
_NUMBER: Final = re.compile(r"[0-9]+|0x.*")
_MAX_HOST: Final = 253
#: Servers whose spelling is kept: many targets name the same, and reading it takes the longest.
_KEPT_SERVERS: Final = 4_096
#: Kept as it is in path and query: what every client sends as it is. The rest is percent-encoded.
_REST_SAFE: Final = "!$%&'()*+,/:;=?@~-._"
#: Nothing of it needs encoding, nor a look at its escapes.
_PLAIN: Final = re.compile(rf"[\w{re.escape(_REST_SAFE.replace('%', ''))}]*", re.ASCII)
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(r"%[0-9a-f]{2}", re.IGNORECASE)
_ASCII_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
#: Categories of characters that nobody can see: control, format, surrogate, separators.
_UNSEEN: Final = ("C", "Z")


class Target(NamedTuple):
    """A target in its canonical spelling, and what its parts are."""

    url: str
    scheme: str
    host: str
    port: int
    #: The server that answers for it: the host, and the port unless it is the scheme's own.
    endpoint: str


#: What is known of a target from the part before its path: scheme, host, port, endpoint.
_Server = tuple[str, str, int, str]


def parse_target(url: str) -> Target:
    """Read a target; raises `BadTargetError` that says which part is wrong, and how to mend it.

    Scheme and host come out in lower case, the host as ASCII without a trailing dot, the
    scheme's own port and the fragment left out. Path and query stay as they are, apart from
    characters that must be percent-encoded.
    """
    if len(url) > MAX_TARGET:
        raise BadTargetError(f"the target is longer than {MAX_TARGET} characters")
    _refuse_characters(url)
    parts = _URL.fullmatch(url)
    if parts is None:
        raise BadTargetError("the target must start with http:// or https://")
    scheme, authority, rest = parts.groups()
    start, server = _read_server(scheme.lower(), authority)
    canonical = start + _encode(rest)
    if len(canonical) > MAX_TARGET:
        raise BadTargetError(f"the target, percent-encoded, is longer than {MAX_TARGET} characters")
    # Nearly always the same text, which many keep beside it.
    return Target(url if canonical == url else canonical, *server)


@lru_cache(maxsize=_KEPT_SERVERS)
def _read_server(scheme: str, authority: str) -> tuple[str, _Server]:
    """How the canonical spelling begins, and what that says."""
    usual = _DEFAULT_PORTS[scheme]
    host, port = _read_authority(authority, usual)
    place = "" if port == usual else f":{port}"
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}{place}", (scheme, host, port, host + place)


def parse_host(host: str) -> str:
    """The canonical spelling of a host: a strict address, or a name after IDNA 2008."""
    if not host:
        raise BadTargetError("the target names no host: write it as https://example.com/path")
    if host.startswith("["):
        return _read_address(host[1:-1], version=6)
    if "%" in host:
        raise BadTargetError("the host has a % in it: write it without percent-encoding")
    name = host.translate(_ASCII_LOWER).removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _read_address(name, version=4)
    if not name.isascii():
        name = _to_ascii(name)
    labels = name.split(".")
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadTargetError(
            "the host is no name: it takes letters, digits and hyphens between dots"
        )
    if any(label.startswith("xn--") for label in labels):
        _to_ascii(name)
    return name


def _refuse_characters(url: str) -> None:
    if "\\" in url:
        raise BadTargetError("the target has a backslash in it: write %5C in a path")
    if url.isascii() and url.isprintable() and " " not in url:
        return  # As nearly always.
    for char in url:
        if char == " " or (not "!" <= char <= "~" and unicodedata.category(char)[0] in _UNSEEN):
            raise BadTargetError(
                "the target has a space or a control character in it:"
                f" percent-encode it or take it out ({ord(char):#04x})"
            )


def _encode(rest: str) -> str:
    """Path and query in the spelling that no client changes any more."""
    if _PLAIN.fullmatch(rest):
        return rest  # As nearly always.
    whole = _STRAY_PERCENT.sub("%25", rest)
    return _ESCAPE.sub(lambda found: found[0].upper(), quote(whole, safe=_REST_SAFE))


def _read_authority(authority: str, default: int) -> tuple[str, int]:
    if "@" in authority:
        raise BadTargetError(
            "the target has a user name or a password in it: send credentials in a custom header"
        )
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise BadTargetError(
            "the target's host can't be read: write an IPv6 address in one pair of brackets,"
            " and one port at most"
        )
    return parse_host(parts["host"]), _read_port(parts["port"], default)


def _read_port(port: str | None, default: int) -> int:
    if port is None:
        return default
    if not _PORT.fullmatch(port) or int(port) > 65_535:
        raise BadTargetError("the target's port must be a number from 1 to 65535")
    return int(port)


def _read_address(text: str, version: int) -> str:
    if "%" in text:
        raise BadTargetError("the host is an address with a zone: write it without %")
    address = parse_address(text)
    if address is None or address.version != version:
        raise BadTargetError(
            "the host is no address: write IPv4 as four decimal numbers without leading zeros,"
            " IPv6 in brackets"
        )
    return str(address)


def _to_ascii(name: str) -> str:
    try:
        return idna.encode(name, strict=True, std3_rules=True).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise BadTargetError(
            f"the host is no valid international name (IDNA 2008, lower case): {error}"
        ) from error
