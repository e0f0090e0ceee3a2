"""What a route leads to; and the simplest of it, a page of which everybody gets the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from gateway.http import answers
from gateway.http.answers import Answer
from gateway.http.exchange import KEY, Exchange
from gateway.http.routes import Routes

Respond = Callable[[Exchange], Awaitable[Answer]]
PATH_PARAMETERS = "path_params"
"""As other ASGI frameworks name it in a scope."""
GET_AND_HEAD = ("GET", "HEAD")


class Served(Protocol):
    """Answers what comes by one template."""

    @property
    def is_open_to_all_origins(self) -> bool:
        """Whether pages of any origin may read it: it is no secret, and the same for everyone.

        Another thing than who may call it without credentials, which the contracts say.
        """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request (ASGI). Raises Refusal.

        The scope holds its Exchange at KEY, and what its path names at PATH_PARAMETERS.
        """


class Page:
    """Answers GET and HEAD of one address, whoever asks."""

    def __init__(self, path: str, respond: Respond, *, is_open_to_all_origins: bool) -> None:
        self.path = path
        self.is_open_to_all_origins = is_open_to_all_origins
        self._respond = respond

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Sends the page. Raises Refusal."""
        del receive
        exchange: Exchange = scope[KEY]
        exchange.route = self.path
        answer = await self._respond(exchange)
        await answers.send_answer(send, answer, is_head=scope["method"] == "HEAD")


def add_pages(
    routes: Routes[Served], pages: Mapping[str, Respond], *, is_open_to_all_origins: bool = False
) -> None:
    """Adds what answers at each path."""
    for path, respond in pages.items():
        page = Page(path, respond, is_open_to_all_origins=is_open_to_all_origins)
        for verb in GET_AND_HEAD:
            routes.add(verb, path, page)
