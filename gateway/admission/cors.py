"""Pages of other origins: which may call, and what their browsers are told (CORS).

A preflight carries no credentials, so it passes when any account allows the origin; with
credentials the account's own list decides before anything is done. Credentials travel in
headers, never in cookies: nothing here lets a browser send some by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from chassis.memory import Memory
from gateway.admission.lookups import in_time
from gateway.admission.principals import TTL_S
from gateway.http import errors
from gateway.http.answers import Answer, Headers
from gateway.http.exchange import Exchange
from gateway.http.origins import normal_origin

MAX_AGE_S = 600
"""How long a browser may remember a preflight; a withdrawn origin is refused at once anyway."""
ORIGIN_CHARS_MAX = 300
_REQUEST_HEADERS = (
    "Authorization, Content-Type, If-Match, If-None-Match, If-Range, Idempotency-Key, "
    "Last-Event-ID, Range, Traceparent, X-Acting-Account, X-Acting-Reason, X-Request-Id, "
    "X-Sector-Id, X-Site-Id"
)
_ANSWER_HEADERS = (
    b"Accept-Ranges, Content-Disposition, Content-Range, ETag, Idempotency-Key, Retry-After, "
    b"X-Request-Id, X-Throttle-Limit, X-Throttle-Remaining, X-Throttle-Reset, X-Trace-Id"
)
_ALLOW = b"access-control-allow-origin"
_EXPOSED = (b"access-control-expose-headers", _ANSWER_HEADERS)


class Origins(Protocol):
    """Knows which origins accounts allow. Asked for every request of a foreign page."""

    async def is_known(self, origin: str) -> bool:
        """Whether any account allows this origin: a preflight names no account."""

    async def allows(self, account_id: str, origin: str) -> bool:
        """Whether this account allows this origin."""


class ListedOrigins:
    """Origins that are allowed for every account, from the settings; others know the rest."""

    def __init__(self, listed: Iterable[str] = (), others: Origins | None = None) -> None:
        """Raises ValueError for what no browser would send."""
        self._listed = frozenset(map(_normal, listed))
        self._others = others

    async def is_known(self, origin: str) -> bool:
        """Whether it is listed, or known to the others."""
        if origin in self._listed:
            return True
        return self._others is not None and await self._others.is_known(origin)

    async def allows(self, account_id: str, origin: str) -> bool:
        """Whether it is listed, or allowed by the account as the others know it."""
        if origin in self._listed:
            return True
        return self._others is not None and await self._others.allows(account_id, origin)


class CachedOrigins:
    """Remembers what accounts allow for a moment, as credentials are."""

    def __init__(self, inner: Origins, *, ttl_s: float = TTL_S) -> None:
        self._inner = inner
        self._memory: Memory[tuple[str, str], bool] = Memory(ttl_s)

    async def is_known(self, origin: str) -> bool:
        """As the origins behind."""
        return await self._remembered("", origin)

    async def allows(self, account_id: str, origin: str) -> bool:
        """As the origins behind."""
        return await self._remembered(account_id, origin)

    def forget(self, account_id: str) -> None:
        """Drops what an account allows: something about it has changed."""
        self._memory.forget(account_id)

    async def _remembered(self, account_id: str, origin: str) -> bool:
        known = self._memory.get((account_id, origin))
        if known is not None:
            return known
        asked = self._memory.forgotten
        found = await in_time(
            self._inner.allows(account_id, origin) if account_id else self._inner.is_known(origin)
        )
        if found or account_id:
            # What no account allows is not kept: whichever allows it next would not end that.
            self._memory.put((account_id, origin), found, account_id, asked)
        return found


class Cors:
    """Greets pages of other origins."""

    def __init__(self, origins: Origins, public_url: str = "") -> None:
        """`public_url` is the gateway's own origin, if that is known."""
        self._origins = origins
        self._own = public_url.encode() or None

    async def greet(self, scope: Mapping[str, Any], exchange: Exchange) -> str | None:
        """Notes whose page asks; the verb that a preflight asks for, None for all else."""
        sent = exchange.headers.get(b"origin")
        if sent is None or self._is_own(scope, exchange.headers, sent):
            return None
        origin = sent.decode("latin-1")
        exchange.origin = origin[:ORIGIN_CHARS_MAX]
        exchange.reply_headers.append((b"vary", b"Origin"))
        if (
            len(origin) <= ORIGIN_CHARS_MAX
            and normal_origin(origin) == origin
            and await self._origins.is_known(origin)
        ):
            exchange.reply_headers += [(_ALLOW, sent), _EXPOSED]
            exchange.origin_is_known = True
        asked = exchange.headers.get(b"access-control-request-method")
        if scope["method"] != "OPTIONS" or asked is None:
            return None
        return asked.decode("latin-1")

    async def check(self, exchange: Exchange, account_id: str) -> None:
        """Refuses the pages that the account has not allowed, before they do anything."""
        if not exchange.origin:
            return
        allowed = exchange.origin_is_known
        if allowed and account_id:
            allowed = await self._origins.allows(account_id, exchange.origin)
        if not allowed:
            exchange.reply_headers = [
                header for header in exchange.reply_headers if header[0] != _ALLOW
            ]
            raise errors.origin_forbidden()

    def _is_own(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], sent: bytes
    ) -> bool:
        if sent == self._own:
            return True
        # As the browser reached us. A page that only pretends has no credentials to send.
        return sent == b"%s://%s" % (scope["scheme"].encode(), headers.get(b"host", b""))


def open_to_all(exchange: Exchange) -> None:
    """Lets pages of any origin read what is answered, also that it was refused."""
    # Nothing varies with the origin, and who asks without one may share what is kept.
    exchange.reply_headers = [(_ALLOW, b"*"), _EXPOSED]
    exchange.origin_is_known = True


def preflight(exchange: Exchange, verb: str) -> Answer:
    """The answer to a preflight for a route that exists. Raises ORIGIN_FORBIDDEN."""
    if not exchange.origin_is_known:
        raise errors.origin_forbidden()
    headers: Headers = [
        (b"access-control-allow-methods", verb.encode()),
        (b"access-control-allow-headers", _REQUEST_HEADERS.encode()),
        (b"access-control-max-age", str(MAX_AGE_S).encode()),
    ]
    return Answer(204, headers=headers)


def _normal(listed: str) -> str:
    origin = normal_origin(listed)
    if origin is None:
        raise ValueError(f"{listed!r} is not an origin such as https://app.example.com")
    return origin
