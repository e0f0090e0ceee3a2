"""What a stream tells: everything in an account, or one run until it has ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from gateway.contracts import Contracts
from gateway.streams import event_format
from gateway.streams.facts import Told
from gateway.streams.rights import Guard
from gateway.transcoding.conversion import ResourceWriter
from gateway.transcoding.endpoint import TIMEOUT_S
from gateway.upstream.services import Upstream, refusal_of

GET_RUN = "/writer.tasks.v1.RunService/GetRun"
LAST_OF_RUN = "run.ended"
CLOCKS_DIFFER = timedelta(minutes=5)
"""By how much the clock of the event store may be behind that of tasks."""


class Everything:
    """All that the reader may see."""

    def takes(self, told: Told) -> bool:
        """Everything."""
        del told
        return True

    def is_last(self, told: Told) -> bool:
        """Never."""
        del told
        return False

    async def state(self) -> tuple[bytes, bool]:
        """An account has no state to be told here; the lists have it."""
        return b"", False


class Runs:
    """Asks for runs with a reader's rights."""

    def __init__(self, contracts: Contracts, upstream: Upstream) -> None:
        self.method = next(method for method in contracts.methods if method.path == GET_RUN)
        self._request: Any = self.method.request.type
        self._run: Any = self.method.response.type
        self._writer = ResourceWriter(self.method.response)
        self._call = upstream.method(self.method)

    async def get(self, run_id: str, guard: Guard) -> tuple[Any, bytes]:
        """The run as a message and as JSON. Raises NOT_FOUND and what the service refuses."""
        request = self._request(id=run_id).to_binary()
        metadata = await guard.metadata(self.method.peer)
        try:
            wire = await self._call(request, metadata, TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error, self.method) from error
        return self._run.from_binary(wire), self._writer.write(wire)[0].encode()


class OneRun:
    """A run, its generations, and what is made of them."""

    def __init__(self, run_id: str, runs: Runs, guard: Guard) -> None:
        self._id = run_id
        self._runs = runs
        self._guard = guard
        self._generations: set[str] = set()
        self._contents: set[str] = set()
        self.since = datetime.min.replace(tzinfo=UTC)
        """No event of the run is older."""

    def takes(self, told: Told) -> bool:
        """What names the run, or a generation or content that is known to be its."""
        mine = (
            told.run_id == self._id
            if told.run_id
            else told.generation_id in self._generations or told.content_id in self._contents
        )
        if mine and told.content_id:
            self._contents.add(told.content_id)
        return mine

    def is_last(self, told: Told) -> bool:
        """What is booked later (credits) is for those who read everything."""
        return told.type == LAST_OF_RUN

    async def state(self) -> tuple[bytes, bool]:
        """The run as a GET would show it. Raises as the service does."""
        run, document = await self._runs.get(self._id, self._guard)
        self._generations |= {each.id for each in run.generations}
        self._contents |= {each.content_id for each in run.generations if each.content_id}
        if run.create_time is not None:
            self.since = datetime.fromtimestamp(run.create_time.seconds, UTC) - CLOCKS_DIFFER
        return event_format.event("run", document), run.end_time is not None
