"""A log record for what is written with every call."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from chassis import clock

# Every attribute that a formatter may ask for.
_NOWHERE = vars(logging.LogRecord("", logging.INFO, "", 0, "", None, None))


class Line(logging.LogRecord):
    """A record at INFO that knows not where it comes from: a third of the cost of `log.info`.

    For what is written with every request. `fields` are as `extra` is.
    """

    __slots__ = ("fields",)

    def __init__(self, name: str, message: str, fields: Mapping[str, object]) -> None:
        # Not the inherited one, which looks up and computes what no line of ours says.
        self.__dict__ = {**_NOWHERE, **fields}
        self.fields = fields
        self.name, self.msg, self.created = name, message, clock.now().timestamp()
