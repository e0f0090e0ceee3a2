"""How much a model thinks before it answers, which it does within the tokens of its answer.

Our questions need little of it. A model that does not know the parameter refuses the whole
request, so that without a setting it is sent to models that are known to take it.
"""

from __future__ import annotations

import re

from chassis.settings import Settings, SettingsError

EFFORT = "low"
"""When WRITER_REASONING_EFFORT sets nothing else, for models that take it."""
UNSENT = "default"
"""As a setting: nothing is sent, the provider decides."""
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

# Not its relatives: the chat models of the family refuse it, the pro ones take other values.
_TAKES_IT = re.compile(
    r"(?:.*/)?(?:gpt-5(?:\.\d+)?(?:-mini|-nano)?|o3|o3-mini|o4-mini)(?:-\d{4}-\d{2}-\d{2})?"
)


def effort_from(settings: Settings) -> str:
    """What was set, empty when nothing was. Raises SettingsError."""
    effort = settings.extra("WRITER_REASONING_EFFORT").lower()
    if effort not in ("", UNSENT, *EFFORTS):
        allowed = ", ".join((UNSENT, *EFFORTS))
        raise SettingsError(f"WRITER_REASONING_EFFORT must be one of {allowed}")
    return effort


def effort_of(model: str, setting: str) -> str:
    """What this model is told; empty: nothing."""
    if setting:
        return "" if setting == UNSENT else setting
    return EFFORT if _TAKES_IT.fullmatch(model) else ""
