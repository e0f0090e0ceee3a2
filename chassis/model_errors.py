"""What can go wrong with a model, and what it means for asking again."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

from chassis import clock
from chassis.retry import GiveUp, Retry, Verdict

REFUSED = "PROVIDER_REFUSED"
UNAVAILABLE = "PROVIDER_UNAVAILABLE"
OUTPUT_INVALID = "PROVIDER_OUTPUT_INVALID"
TRUNCATED = "PROVIDER_TRUNCATED"

_POLICY_CODES = frozenset({"content_policy_violation", "moderation_blocked"})
_ACCESS_STATUSES = frozenset({401, 402, 403, 404, 429})
"""Our access or our choice of model is at fault, not what was asked."""
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
            return Retry(UNAVAILABLE, "the provider limits our rate", _retry_after_s(error))
        case openai.APIStatusError() if error.status_code >= 500 or error.status_code in {408, 409}:
            return Retry(
                UNAVAILABLE, f"the provider answered {error.status_code}", _retry_after_s(error)
            )
        case openai.APIStatusError() if _code(error) in _POLICY_CODES:
            return GiveUp(REFUSED, "the provider's policy does not allow it")
        case openai.APIStatusError() if error.status_code not in _ACCESS_STATUSES:
            return GiveUp(REFUSED, f"the provider answered {error.status_code}")
        case openai.APIStatusError():
            return GiveUp(UNAVAILABLE, f"the provider answered {error.status_code}")
        case openai.APIError() | StreamBroken() | TimeoutError() | OSError():
            return Retry(UNAVAILABLE, "the connection to the provider broke")
        case json.JSONDecodeError():
            # The client lets a malformed body through as this.
            return Retry(OUTPUT_INVALID, "the provider's answer cannot be read")
    if type(error).__module__.partition(".")[0] in _TRANSPORTS:
        return Retry(UNAVAILABLE, "the connection to the provider broke")
    return None


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
