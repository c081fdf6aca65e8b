"""For projects that receive webhooks: is a message genuine, whole and fresh?

It verifies whatever is signed after Standard Webhooks 1.0.0 (https://www.standardwebhooks.com/).
``doh`` need not be among ``INSTALLED_APPS`` for it.
"""

import hashlib
import hmac
import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final, NamedTuple

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables

from doh.exceptions import (
    HeaderMissingError,
    HookConfigurationError,
    SignatureMismatchError,
    TimestampError,
    VerificationError,
)
from doh.wire.signing import PUBLIC_PREFIX, SECRET_PREFIX, Scheme, is_signed, signed_content

#: Seconds that a message's time may be off, either way.
TOLERANCE: Final = 300.0

#: What came: a Django request, or its body and headers.
Message = HttpRequest | tuple[bytes | str, Mapping[str, str]]
#: What to verify with: ``whsec_…``, ``whpk_…``, or several where one is being replaced.
Secrets = str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Verified:
    """A message that is genuine. ``id`` is the same whenever it comes again: keep it, and drop
    the second. Its other headers are not signed."""

    id: str
    sent_at: datetime
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON; raises ValueError if it is none."""
        return json.loads(self.body)


@sensitive_variables()
def verify(message: Message, secrets: Secrets, *, tolerance: float = TOLERANCE) -> Verified:
    """The message, if one of its signatures fits one of the secrets and its time is near.

    Raises a `VerificationError` that says which part is wrong, and `HookConfigurationError` for a
    secret that is none.
    """
    keys = _keys(secrets)
    body, headers = _parts(message)
    uid, timestamp, signatures = (
        _header(headers, f"webhook-{name}") for name in ("id", "timestamp", "signature")
    )
    sent_at = _time(timestamp, tolerance)
    content = signed_content(uid, timestamp, body)
    pairs = [(key, one) for key in keys for one in _signatures(signatures, key.scheme)]
    # Every pair is looked at, whatever the one before came to.
    if not any([_fits(key, one, content) for key, one in pairs]):  # noqa: C419
        raise SignatureMismatchError(
            "None of the signatures in webhook-signature fits: another secret, or another body."
        )
    return Verified(uid, sent_at, body)


def verified(
    secrets: Secrets | Callable[[HttpRequest], Secrets], *, tolerance: float = TOLERANCE
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Let a view be called for genuine messages only; it finds them in ``request.webhook``.

    Others are answered 400 with the reason. The secrets may be a function of the request.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            known = secrets(request) if callable(secrets) else secrets
            try:
                request.webhook = verify(request, known, tolerance=tolerance)  # type: ignore[attr-defined]
            except VerificationError as error:
                return HttpResponse(str(error), status=400, content_type="text/plain")
            return view(request, *args, **kwargs)

        return guarded

    return decorate


class _Key(NamedTuple):
    scheme: Scheme
    raw: bytes


def _keys(secrets: Secrets) -> list[_Key]:
    texts = [secrets] if isinstance(secrets, str) else list(secrets)
    if not texts:
        raise HookConfigurationError("There is no secret to verify with.")
    return [_key(number, text) for number, text in enumerate(texts, 1)]


def _key(number: int, text: str) -> _Key:
    """One secret; the error tells its place and not the secret."""
    scheme, prefix = Scheme.HMAC, SECRET_PREFIX
    if text.startswith(PUBLIC_PREFIX):
        scheme, prefix = Scheme.ED25519, PUBLIC_PREFIX
    raw = _base64(text.removeprefix(prefix)) if text.startswith(prefix) else None
    if not raw or (scheme is Scheme.ED25519 and len(raw) != 32):
        raise HookConfigurationError(
            f"Secret {number} is none to verify with: it must be {SECRET_PREFIX!r} and base64, or"
            f" {PUBLIC_PREFIX!r} and the base64 of a public key."
        )
    return _Key(scheme, raw)


def _parts(message: Message) -> tuple[bytes, Mapping[str, str]]:
    if isinstance(message, HttpRequest):
        return message.body, {name.lower(): value for name, value in message.headers.items()}
    body, headers = message
    raw = body.encode() if isinstance(body, str) else body
    return raw, {name.lower(): value for name, value in headers.items()}


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "").strip()
    if not value:
        raise HeaderMissingError(f"The header {name} is missing.")
    return value


def _time(text: str, tolerance: float) -> datetime:
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise TimestampError("The header webhook-timestamp is no number of seconds.")
    late = time.time() - int(text)
    if abs(late) > tolerance:
        side = "past" if late > 0 else "future"
        raise TimestampError(
            f"The header webhook-timestamp is more than {tolerance:g} s in the {side}."
        )
    return datetime.fromtimestamp(int(text), UTC)


def _signatures(header: str, scheme: Scheme) -> Iterator[bytes]:
    """The signatures of a scheme; what can't be read is none."""
    for one in header.split(" "):
        version, _, encoded = one.partition(",")
        signature = _base64(encoded) if version == scheme else None
        if signature:
            yield signature


def _fits(key: _Key, signature: bytes, content: bytes) -> bool:
    if key.scheme is Scheme.ED25519:
        return is_signed(key.raw, signature, content)
    return hmac.compare_digest(hmac.digest(key.raw, content, hashlib.sha256), signature)


def _base64(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None
