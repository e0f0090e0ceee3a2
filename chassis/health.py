"""Whether a process can do its work, as gRPC's health service tells whoever asks."""

from __future__ import annotations

import asyncio
import logging

from chassis.database import Database
from chassis.server import Server

log = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
ANSWER_WITHIN_S = 3.0
"""Longer silence of the database means that calls will not be answered."""


class Health:
    """Says SERVING while the database answers, and NOT_SERVING while it does not."""

    def __init__(self, server: Server, database: Database) -> None:
        self._server = server
        self._database = database
        self._told: bool | None = None
        """Whether calls will be answered, as it was said last."""

    async def keep(self) -> None:
        """Asks again and again, until cancelled."""
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            await self.ask()

    async def ask(self) -> None:
        """Asks the database, and says what has changed since the last time."""
        fault = await self._fault()
        answers = fault is None
        if answers is self._told:
            return
        if fault is not None:
            reason = repr(fault.__cause__ or fault)[:200]
            log.warning("the database does not answer", extra={"reason": reason})
            await self._server.unready()
        else:
            if self._told is not None:
                log.info("the database answers again")
            await self._server.ready()
        self._told = answers

    async def _fault(self) -> Exception | None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._database.ping()
        except TimeoutError:
            return TimeoutError(f"no answer within {ANSWER_WITHIN_S} s")
        except Exception as error:  # noqa: BLE001  whatever it is, calls would meet it, too
            return error
        return None
