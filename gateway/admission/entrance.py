"""What every call passes before its body is read: who, from where, how often, by what right."""

from __future__ import annotations

from chassis import access
from chassis.errors import Forbidden
from gateway.admission.acting_headers import acting_request
from gateway.admission.addresses import address_key
from gateway.admission.cors import Cors
from gateway.admission.lookups import in_time
from gateway.admission.principals import ANONYMOUS, Acting, Authenticator, Principal
from gateway.admission.throttles import Throttles
from gateway.contracts import Method
from gateway.http import errors
from gateway.http.exchange import Exchange
from gateway.http.metrics import Metrics

_ACTING = b"x-acting-account"


class Entrance:
    """Lets a request in, or refuses it; the same for answers and for streams."""

    def __init__(
        self,
        authenticator: Authenticator,
        cors: Cors,
        throttles: Throttles,
        metrics: Metrics,
        acting: Acting | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._acting = acting
        self._cors = cors
        self._throttles = throttles
        self._metrics = metrics

    def scope_of(self, method: Method, verb: str) -> str:
        """The throttle scope of a route; asked once, at the start. Raises ContractError."""
        return self._throttles.scope_of(method, verb)

    async def admit(
        self, exchange: Exchange, throttle: str, method: Method | None = None
    ) -> Principal:
        """The principal behind a request, counted in a throttle scope. Raises a refusal.

        Credentials come first, because limits and origins belong to an account; a refused
        credential costs no service a call. The role next, before a body is read or a site looked
        up: who may not call a method learns nothing from it. Who wants to act on another account
        is counted and checked as who he is, and then let in as who he acts for. Without a `method`
        it is a stream, which asks for rights of its own.
        """
        exchange.require_single_headers()
        is_public = method is not None and method.access == "public"
        principal = ANONYMOUS if is_public else await self.identify(exchange)
        account_id = principal.account_id
        await self._cors.check(exchange, account_id)
        who = account_id or address_key(exchange.client_address)
        standing = await self._throttles.count(throttle, who)
        if standing is not None:
            exchange.reply_headers += standing.headers()
            if standing.is_over:
                self._metrics.throttled(throttle)
                raise errors.rate_limited(throttle, standing.limit, standing.reset_s)
        acts = _ACTING in exchange.headers
        if is_public:
            if acts:
                raise errors.invalid("X-Acting-Account", "cannot be used for what is open to all")
            return principal
        if method is not None:
            access.require(principal.role, method.level)
        return await self._act(principal, exchange, method) if acts else principal

    async def confirm(self, principal: Principal, exchange: Exchange, method: Method) -> Principal:
        """The principal that was admitted, as it is once the body is there.

        A body may take its time, in which the credential ends or may do less. Raises a refusal.
        """
        if principal is ANONYMOUS:
            return principal
        present = await self.identify(exchange)
        await self._cors.check(exchange, present.account_id)
        access.require(present.role, method.level)
        if not principal.acting_for:
            return present
        acting = await in_time(self._operators().confirm(present, principal.account_id))
        exchange.account_id = acting.account_id
        return acting

    async def identify(self, exchange: Exchange) -> Principal:
        """Who makes the request, uncounted: what lasts asks again while it lasts."""
        sent = exchange.headers.get(b"authorization")
        principal = await self._authenticator.authenticate(
            None if sent is None else sent.decode("latin-1")
        )
        exchange.principal, exchange.account_id = principal.principal, principal.account_id
        return principal

    async def _act(
        self, principal: Principal, exchange: Exchange, method: Method | None
    ) -> Principal:
        if method is None:
            # Each call of an operator is written down; a stream asks once and goes on for hours.
            raise errors.invalid("X-Acting-Account", "cannot be used for event streams")
        asked = acting_request(exchange, method.path)
        acting = await in_time(self._operators().act(principal, asked))
        exchange.account_id = acting.account_id
        return acting

    def _operators(self) -> Acting:
        if self._acting is None:
            raise Forbidden("ROLE_FORBIDDEN", "Nobody acts on other accounts here.")
        return self._acting
