"""What the headers of an operator say who wants to act on another account."""

from __future__ import annotations

from gateway.admission.principals import ActingRequest
from gateway.http import errors
from gateway.http.exchange import Exchange

ACCOUNT_CHARS_MAX = 64
REASON_CHARS_MAX = 500
_ACCOUNT = (b"x-acting-account", "X-Acting-Account")
_REASON = (b"x-acting-reason", "X-Acting-Reason")


def acting_request(exchange: Exchange, method: str) -> ActingRequest:
    """The wish to call a method on another account. Raises INVALID_FIELDS."""
    return ActingRequest(
        account_id=_text(exchange, *_ACCOUNT, ACCOUNT_CHARS_MAX),
        reason=_text(exchange, *_REASON, REASON_CHARS_MAX),
        method=method,
        request_id=exchange.request_id,
        client_address=exchange.client_address,
    )


def _text(exchange: Exchange, header: bytes, name: str, chars_max: int) -> str:
    try:
        text = exchange.headers.get(header, b"").decode().strip()
    except UnicodeDecodeError:
        raise errors.invalid(name, "must be UTF-8") from None
    if not 0 < len(text) <= chars_max or not text.isprintable():
        raise errors.invalid(name, f"must have 1 to {chars_max} printable characters")
    return text
