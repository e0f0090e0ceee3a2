"""What one reader may see, and whether he still may: asked again while the stream is open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from writer.options.v1 import options_pb2

from chassis import access
from gateway.admission.principals import NO_SCOPE, Principal
from gateway.grpc_client import Metadata
from gateway.http.exchange import Exchange
from gateway.streams.asking import Asked
from gateway.streams.facts import Told
from gateway.transcoding.endpoint import Surroundings
from gateway.upstream.callers import caller_of


@dataclass(frozen=True, slots=True)
class View:
    """The events that a reader may see and wants to see."""

    account_id: str
    levels: frozenset[int]
    allowed_sites: frozenset[str] | None
    """None means all of the account. What belongs to no site is for everybody in it."""
    site_id: str
    """The only site that is wanted; empty for all."""
    types: frozenset[str] | None
    expire_time: datetime | None
    """When the credential ends."""

    def shows(self, told: Told) -> bool:
        """Whether this event, which is one of the account's, is for this reader."""
        if told.level not in self.levels:
            return False
        if self.types is not None and told.type not in self.types:
            return False
        if self.site_id:
            return told.site_id == self.site_id
        return self.allowed_sites is None or not told.site_id or told.site_id in self.allowed_sites


class Guard:
    """Asks who the reader is, as often as it is asked."""

    def __init__(self, around: Surroundings, exchange: Exchange, asked: Asked) -> None:
        self._around = around
        self._exchange = exchange
        self._asked = asked

    async def view(self) -> View:
        """The reader's rights now. Raises what a request with this credential would."""
        principal = await self._around.entrance.identify(self._exchange)
        access.require(principal.role, options_pb2.Access.read)
        if self._asked.site_id:
            await self._around.scopes.resolve(
                principal, self._asked.site_id, "", needs_sector=False
            )
        sites = principal.allowed_sites
        return View(
            account_id=principal.account_id,
            levels=access.LEVELS[principal.role],
            allowed_sites=None if sites is None else frozenset(sites),
            site_id=self._asked.site_id,
            types=self._asked.types,
            expire_time=principal.expire_time,
        )

    async def metadata(self, peer: str) -> Metadata:
        """What a service is told about the reader, with his rights of now."""
        principal: Principal = await self._around.entrance.identify(self._exchange)
        return self._around.upstream.metadata(caller_of(principal, NO_SCOPE), self._exchange, peer)
