"""What can go wrong with a model, and what it means for asking again."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

from chassis import clock
from chassis.retry import GivenUp, GiveUp, Retry, Verdict

REFUSED = "PROVIDER_REFUSED"
UNAVAILABLE = "PROVIDER_UNAVAILABLE"
OUTPUT_INVALID = "PROVIDER_OUTPUT_INVALID"
TRUNCATED = "PROVIDER_TRUNCATED"

UNAUTHENTICATED = 401
SAID_CHARS_MAX = 500
"""Of a provider's own words, in a log line."""

_POLICY_CODES = frozenset(
    {"content_policy_violation", "moderation_blocked", "content_filter", "invalid_prompt"}
)
"""What was asked is at fault. Any other refused request is: our access, model or parameters."""
_ACCESS_STATUSES = frozenset({401, 402, 403, 404, 429})
_TRANSPORTS = frozenset({"httpx", "httpx2", "httpcore", "httpcore2"})
"""Packages below the client whose errors it lets through as they are."""


class OutputInvalid(Exception):
    """The model answered, but not what it was asked for; another answer may be better."""


class Truncated(Exception):
    """The answer was cut at the limit of tokens, and again at the larger one."""


class Refused(Exception):
    """The model declined."""


class StreamBroken(Exception):
    """The answer ended without saying why: the client raises nothing then."""


def classify(error: Exception) -> Verdict:  # noqa: C901  one case a kind of error
    """What an error of a provider's call means for asking again."""
    import openai

    match error:
        case Refused():
            return GiveUp(REFUSED, str(error))
        case Truncated():
            return GiveUp(TRUNCATED, str(error))
        case OutputInvalid():
            return Retry(OUTPUT_INVALID, str(error))
        case openai.RateLimitError() if _code(error) != "insufficient_quota":
            return Retry(
                UNAVAILABLE, "the provider limits our rate", _retry_after_s(error), is_busy=True
            )
        case openai.APIStatusError() if error.status_code >= 500 or error.status_code in {408, 409}:
            return Retry(
                UNAVAILABLE,
                f"the provider answered {error.status_code}",
                _retry_after_s(error),
                is_busy=True,
            )
        case openai.APIStatusError() if _code(error) in _POLICY_CODES:
            return GiveUp(REFUSED, "the provider's policy does not allow it")
        case openai.APIStatusError() if error.status_code in _ACCESS_STATUSES:
            return GiveUp(UNAVAILABLE, f"the provider answered {error.status_code}")
        case openai.APIStatusError():
            return GiveUp(
                UNAVAILABLE,
                "the provider does not take requests as this Writer is set up to make them"
                f" ({error.status_code})",
            )
        case openai.APIError() | StreamBroken() | TimeoutError() | OSError():
            return Retry(UNAVAILABLE, "the connection to the provider broke")
        case json.JSONDecodeError():
            # The client lets a malformed body through as this.
            return Retry(OUTPUT_INVALID, "the provider's answer cannot be read")
    if type(error).__module__.partition(".")[0] in _TRANSPORTS:
        return Retry(UNAVAILABLE, "the connection to the provider broke")
    return None


def log_fields(failure: GivenUp) -> dict[str, str | int]:
    """Why a question was given up and what the provider itself said, for a line of the log.

    Users are told the reason alone: a provider's words name models, limits, organisations.
    """
    import openai

    fields: dict[str, str | int] = {"reason": failure.reason, "detail": failure.detail}
    error: BaseException | None = failure
    while error is not None and not isinstance(error, openai.APIError):
        error = error.__cause__
    if error is None:
        return fields
    fields["provider_code"] = _code(error) or str(error.type or "")
    status = getattr(error, "status_code", 0)
    if status:
        fields["provider_status"] = status
    # A provider that knows no such key may repeat it.
    if status != UNAUTHENTICATED:
        fields["provider_message"] = _message(error)[:SAID_CHARS_MAX]
    return fields


def _message(error: Any) -> str:
    """The provider's sentence; the client's own begins with the whole body."""
    told = error.body.get("message") if isinstance(error.body, dict) else None
    return told if isinstance(told, str) else str(error.message)


def _code(error: Any) -> str:
    return str(getattr(error, "code", None) or "")


def _retry_after_s(error: Any) -> float | None:
    """The wait that was asked for, in seconds or as the time when it ends (RFC 9110)."""
    asked = error.response.headers.get("retry-after", "")
    try:
        return float(asked)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(asked) - clock.now()).total_seconds()
    except (ValueError, TypeError):
        return None
