"""What every call of a method passes before its body is read: who, from where, how often."""

from __future__ import annotations

from chassis.errors import Forbidden
from gateway import errors
from gateway.acting import acting_request
from gateway.authentication import ANONYMOUS, Acting, Authenticator, Principal
from gateway.contracts import Method
from gateway.cors import Cors
from gateway.exchange import Exchange
from gateway.metrics import Metrics
from gateway.throttles import Throttles, address_key


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
        self, exchange: Exchange, throttle: str, *, is_public: bool = False, acting_at: str = ""
    ) -> Principal:
        """The principal behind a request, counted in a throttle scope. Raises a refusal.

        Credentials come first, because limits and origins belong to an account; a refused
        credential costs no service a call. Who wants to act on another account is counted and
        checked as who he is, and then let in as who he acts for, at the method `acting_at`.
        """
        exchange.require_single_headers()
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
        if b"x-acting-account" in exchange.headers and not is_public:
            return await self._act(principal, exchange, acting_at)
        return principal

    async def identify(self, exchange: Exchange) -> Principal:
        """Who makes the request, uncounted: what lasts asks again while it lasts."""
        sent = exchange.headers.get(b"authorization")
        principal = await self._authenticator.authenticate(
            None if sent is None else sent.decode("latin-1")
        )
        exchange.principal, exchange.account_id = principal.principal, principal.account_id
        return principal

    async def _act(self, principal: Principal, exchange: Exchange, method: str) -> Principal:
        if not method:
            # Each call of an operator is written down; a stream asks once and goes on for hours.
            raise errors.invalid("X-Acting-Account", "cannot be used for event streams")
        if self._acting is None:
            raise Forbidden("ROLE_FORBIDDEN", "Nobody acts on other accounts here.")
        acted = await self._acting.act(principal, acting_request(exchange, method))
        exchange.account_id = acted.account_id
        return acted
