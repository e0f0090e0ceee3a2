"""How often somebody may try a password.

Counted for address and e-mail together, for the address, and for the e-mail; in the database,
because a restart or another process must not start the count anew. Every lock ends, and the
e-mail's own does not hold where its user has logged in before: nobody can lock them out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from chassis import clock
from chassis.database import Database
from gateway.admission.addresses import address_key
from gateway.identity.domain import Member
from gateway.identity.errors import TooManyAttempts, TooManyPasswords
from gateway.identity.store import attempts as store
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.attempts import Limit
from gateway.identity.store.sessions import SessionStore

WINDOW = timedelta(minutes=15)
LOCK = timedelta(minutes=15)
PAIR_FAILURES_MAX = 10
"""For one e-mail from one address: somebody who tries to remember."""
ADDRESS_FAILURES_MAX = 100
"""From one address, whatever the e-mail: an office may share one. Logins alone are throttled
before they reach it; with the other calls that look at a password they do not stay below."""
EMAIL_FAILURES_MAX = 50
"""For one e-mail, whatever the address: a guess that comes from many places."""
KNOWN_FOR = timedelta(days=30)
"""How long an address counts as one of the user's."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, counted as failed until it is settled."""

    member: Member | None
    pair: Limit
    address: Limit
    email: Limit | None
    """None where the user is known: there the e-mail's own count does not matter."""

    @property
    def limits(self) -> list[Limit]:
        """What the attempt counts for."""
        found = [self.pair, self.address]
        return found if self.email is None else [*found, self.email]


class Attempts:
    """Counts tries in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def one(self, email: str, address: str) -> AsyncIterator[Attempt]:
        """A try, counted before its password is looked at; not where there was no time to look.

        Raises TooManyAttempts.
        """
        attempt = await self._begin(email, address)
        try:
            yield attempt
        except TooManyPasswords:
            await self._database.write(lambda c: store.give_back(c, attempt.limits))
            raise

    async def _begin(self, email: str, address: str) -> Attempt:
        now = clock.now()

        def work(connection: Connection) -> tuple[Attempt, datetime | None]:
            member = AccountStore(connection).by_email(email)
            attempt = _attempt(connection, member, email, address, now)
            return attempt, store.take_attempt(connection, attempt.limits, now)

        attempt, wait_until = await self._database.write(work)
        if wait_until is not None:
            raise TooManyAttempts(max(1, math.ceil((wait_until - now).total_seconds())))
        return attempt


def settle(connection: Connection, attempt: Attempt) -> None:
    """The password was right: only the address keeps its count of what others got wrong."""
    forgiven = [limit for limit in attempt.limits if limit is not attempt.address]
    store.give_back(connection, attempt.limits, forgiven=forgiven)


def _attempt(
    connection: Connection, member: Member | None, email: str, address: str, now: datetime
) -> Attempt:
    is_known = member is not None and SessionStore(connection).knows_address(
        member.account.id, member.user.id, address, now - KNOWN_FOR
    )
    return Attempt(
        member=member,
        pair=_limit(PAIR_FAILURES_MAX, "pair", email, address_key(address)),
        address=_limit(ADDRESS_FAILURES_MAX, "address", address_key(address)),
        email=None if is_known else _limit(EMAIL_FAILURES_MAX, "email", email),
    )


def _limit(failures_max: int, *subject: str) -> Limit:
    digest = hashlib.sha256("\x1f".join(subject).encode()).hexdigest()
    return Limit(digest, failures_max, WINDOW, LOCK)
