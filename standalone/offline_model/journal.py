"""What was asked and how it ended, for tests that look at the other side of the wire."""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

MAX_ENTRIES = 1_000
MAX_TITLE_CHARS = 700


@dataclass(slots=True)
class Entry:
    """One request. State: running, then answered, failed (error, drop) or aborted (client left)."""

    id: int
    kind: str
    title: str
    state: str
    fault: str | None
    started: float
    ended: float | None = None

    def end(self, state: str) -> None:
        """The first end counts."""
        if self.ended is None:
            self.state, self.ended = state, time.time()


class Journal:
    """Bounded and in memory; the oldest entries go first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MAX_ENTRIES)
        self._ids = itertools.count(1)

    def open(self, kind: str, title: str, fault: str | None = None) -> Entry:
        """Notes a request that has begun."""
        entry = Entry(next(self._ids), kind, title[:MAX_TITLE_CHARS], "running", fault, time.time())
        self._entries.append(entry)
        return entry

    def listed(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [asdict(entry) for entry in self._entries]

    def clear(self) -> None:
        """Forgets all entries; ids go on."""
        self._entries.clear()
