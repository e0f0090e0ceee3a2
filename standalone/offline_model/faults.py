"""Misbehaviour on demand: `[[offline:<spec>]]` in a prompt, or the header X-Offline-Fault.

A spec is `[stage:]name[=argument][*times]`; with `*times` only the first requests that
carry this spec and the same prompt misbehave.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

STAGES = ("text", "prompts", "image")
OUTCOMES = (
    "rate_limit",
    "error",
    "hangup",
    "truncate",
    "refuse",
    "invalid_json",
    "wrong_schema",
    "empty",
)
DELAYS = ("stall", "slow")
MAX_ARGUMENT = 600.0  # seconds; also above every HTTP status
MAX_MARKERS = 8
MAX_COUNTED_PROMPTS = 10_000

_MARKER = re.compile(r"\[\[offline:([^\[\]]{1,60})\]\]")
_SPEC = re.compile(
    r"^(?:(?P<stage>[a-z]+):)?(?P<name>[a-z_]+)(?:=(?P<arg>\d{1,6}(?:\.\d{1,6})?))?(?:\*(?P<times>\d{1,4}))?$"
)


class UnknownFaultError(ValueError):
    """A spec that nobody could have meant; the caller is told, so that no test passes by a typo."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One parsed spec."""

    spec: str
    name: str
    stage: str | None = None
    argument: float | None = None
    times: int | None = None

    def applies_to(self, kind: str) -> bool:
        """Whether its stage is this one or none was named."""
        return self.stage is None or self.stage == kind


@dataclass(frozen=True, slots=True)
class Misconduct:
    """What one request has to suffer: at most one outcome, any delays before or during it."""

    outcome: Fault | None = None
    stall: Fault | None = None
    slow: Fault | None = None

    @property
    def names(self) -> str | None:
        """All specs due, for the journal."""
        specs = [fault.spec for fault in (self.stall, self.slow, self.outcome) if fault]
        return " ".join(specs) or None

    def is_outcome(self, name: str) -> bool:
        """Whether this is how the answer is to be spoiled."""
        return self.outcome is not None and self.outcome.name == name


def without_markers(text: str) -> str:
    """The text in one line, with every marker taken out."""
    return " ".join(_MARKER.sub(" ", text).split())


def specs_in(text: str) -> list[str]:
    """Specs of all markers in their order."""
    return [spec.strip() for spec in _MARKER.findall(text)]


def parse(spec: str) -> Fault:
    """Raises UnknownFaultError."""
    match = _SPEC.match(spec.strip())
    if match is None:
        raise UnknownFaultError(f"Unknown offline fault: {spec[:80]!r}.")
    stage, name = match["stage"], match["name"]
    if name not in OUTCOMES + DELAYS or (stage is not None and stage not in STAGES):
        raise UnknownFaultError(f"Unknown offline fault: {spec[:80]!r}.")
    argument = float(match["arg"]) if match["arg"] else None
    if argument is not None and argument > MAX_ARGUMENT:
        raise UnknownFaultError(f"The argument of {spec!r} is above {MAX_ARGUMENT:.0f}.")
    if name == "error" and argument is not None and not 500 <= argument < MAX_ARGUMENT:
        raise UnknownFaultError("The argument of 'error' is a status from 500 to 599.")
    if name == "slow" and argument is None:
        raise UnknownFaultError("'slow' needs a number of seconds: slow=2.")
    times = int(match["times"]) if match["times"] else None
    return Fault(spec.strip(), name, stage, argument, times)


class FaultBook:
    """Counts how often each spec has struck each prompt, for specs that are limited by `*times`."""

    def __init__(self) -> None:
        self._struck: OrderedDict[bytes, int] = OrderedDict()

    def judge(self, kind: str, prompt: str, header: str | None) -> Misconduct:
        """What is due to this request, counting only that. Raises UnknownFaultError."""
        specs = list(dict.fromkeys(([header] if header else []) + specs_in(prompt)))[:MAX_MARKERS]
        due = [fault for fault in map(parse, specs) if fault.applies_to(kind)]
        return Misconduct(
            outcome=self._first_due((f for f in due if f.name in OUTCOMES), kind, prompt),
            stall=self._first_due((f for f in due if f.name == "stall"), kind, prompt),
            slow=self._first_due((f for f in due if f.name == "slow"), kind, prompt),
        )

    def _first_due(self, faults: Iterable[Fault], kind: str, prompt: str) -> Fault | None:
        for fault in faults:
            if fault.times is None or self._strike(fault, kind, prompt):
                return fault
        return None

    def _strike(self, fault: Fault, kind: str, prompt: str) -> bool:
        key = hashlib.sha256("\0".join((kind, fault.spec, prompt)).encode()).digest()
        struck = self._struck.pop(key, 0)
        self._struck[key] = struck + 1
        while len(self._struck) > MAX_COUNTED_PROMPTS:
            self._struck.popitem(last=False)
        return fault.times is not None and struck < fault.times
