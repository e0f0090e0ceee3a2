"""The routes of server-sent events. What is refused is refused before the stream begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.errors import Forbidden
from gateway.contracts import Contracts
from gateway.http import answers
from gateway.http.answers import Answer
from gateway.http.exchange import KEY, Exchange
from gateway.http.served import PATH_PARAMETERS
from gateway.streams.asking import Asked, asked
from gateway.streams.hub import Hub, Reader
from gateway.streams.outlet import Outlet
from gateway.streams.rights import Guard, View
from gateway.streams.session import Beginning, Pace, Session, Story
from gateway.streams.stories import Everything, OneRun, Runs
from gateway.transcoding.endpoint import Surroundings

EVENTS = "/api/v1/events"
WATCH_RUN = "/api/v1/writer/runs/{id}/watch"
THROTTLE = "writer_read"
"""Opening a stream counts as one read; what it tells does not."""


class EventStreams:
    """`GET /api/v1/events`: what happens in the account."""

    template = EVENTS
    is_open_to_all_origins = False

    def __init__(self, around: Surroundings, hub: Hub, pace: Pace) -> None:
        self._around = around
        self._hub = hub
        self._pace = pace

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Streams until there is a reason to end. Raises Refusal before the first byte."""
        exchange: Exchange = scope[KEY]
        exchange.route = self.template
        await self._around.entrance.admit(exchange, THROTTLE)
        request = self._asked(scope["query_string"], exchange)
        guard = Guard(self._around, exchange, request)
        view = await guard.view()
        self._require_visible(request, view)
        await self._hub.started()
        story, beginning = await self._begin(request, guard, scope[PATH_PARAMETERS])
        if beginning is None:
            await answers.send_answer(send, Answer(204))
            return
        reader = Reader(view)
        with self._hub.admitted(reader):
            outlet = Outlet(receive, send)
            session = Session(self._hub, reader, story, guard, outlet, self._pace)
            exchange.outcome = await session.run(beginning)

    def _asked(self, query: bytes, exchange: Exchange) -> Asked:
        return asked(query, exchange, self._hub.catalogue.types)

    async def _begin(
        self, request: Asked, guard: Guard, path: Mapping[str, str]
    ) -> tuple[Story, Beginning | None]:
        """The story, and where it begins; no beginning when there is nothing left to tell."""
        del guard, path
        return Everything(), Beginning(after=request.after)

    def _require_visible(self, request: Asked, view: View) -> None:
        catalogue = self._hub.catalogue
        if any(catalogue.level(name) not in view.levels for name in request.types or ()):
            raise Forbidden("ROLE_FORBIDDEN", "Your role does not allow these types of events.")


class RunWatch(EventStreams):
    """`GET /api/v1/writer/runs/{id}/watch`: one run, from its present state to its end."""

    template = WATCH_RUN

    def __init__(self, around: Surroundings, hub: Hub, pace: Pace, contracts: Contracts) -> None:
        super().__init__(around, hub, pace)
        self._runs = Runs(contracts, around.upstream)

    def _asked(self, query: bytes, exchange: Exchange) -> Asked:
        return asked(query, exchange, self._hub.catalogue.types, filters=False)

    async def _begin(
        self, request: Asked, guard: Guard, path: Mapping[str, str]
    ) -> tuple[Story, Beginning | None]:
        story = OneRun(path["id"], self._runs, guard)
        opening, over = await story.state()
        if over and request.over:
            # A browser takes this as the end and does not ask again.
            return story, None
        # The run's row may lag behind its events: who begins is told all of them, not only what
        # comes after the state, and who returns needs them to know what belongs to the run.
        since = None if over and request.after is None else story.since
        return story, Beginning(after=request.after, since=since, opening=opening, over=over)
