"""Between objects and rows: the same few attributes of many, read as fast as Python can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any


def values_of(names: Sequence[str]) -> Callable[[Any], dict[str, Any]]:
    """A function from an object, or a row, to its attributes with these names, two or more."""
    read = attrgetter(*names)
    return lambda each: dict(zip(names, read(each), strict=True))
