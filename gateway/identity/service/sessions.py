"""Signing in, going on, and signing out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from chassis import clock
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import Unauthenticated
from chassis.ids import new_id
from gateway.identity import one_time
from gateway.identity.domain import (
    REFRESH_LIFE,
    SESSION_LIFE,
    Deed,
    Me,
    Member,
    OpenSession,
    Session,
    SessionEnd,
    Site,
    User,
    normal_email,
)
from gateway.identity.errors import (
    AccountInactive,
    InvalidCredential,
    WrongCredentials,
    WrongPassword,
)
from gateway.identity.passwords import Passwords
from gateway.identity.service.attempts import Attempt, Attempts, settle
from gateway.identity.service.common import OnChange, user_id_of
from gateway.identity.service.refreshing import Exchanged, Refused, exchange, first_token
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.audit import AuditStore
from gateway.identity.store.keys import KeyStore
from gateway.identity.store.sessions import SessionStore
from gateway.identity.store.sites import SiteStore
from gateway.identity.store.users import UserStore
from gateway.identity.tokens import LIFE, AccessTokens


class Sessions:
    """Exchanges passwords and refresh tokens for access tokens."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        tokens: AccessTokens,
        on_change: OnChange,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._attempts = Attempts(database)
        self._on_change = on_change

    async def login(self, email: str, password: str, caller: Caller) -> Session:
        """A new session. Raises WrongCredentials, TooManyAttempts, AccountInactive.

        Whether the address is known shows neither in the answer nor in its time.
        """
        async with self._attempts.one(normal_email(email), caller.client_address) as attempt:
            member = attempt.member
            known_hash = member.user.password_hash if member else None
            if not await self._passwords.matches(password, known_hash) or member is None:
                raise WrongCredentials
        if not member.account.usable:
            # The password was right; what keeps them out is told to nobody else.
            await self._database.write(lambda connection: settle(connection, attempt))
        return await self._start(member, caller, attempt)

    async def begin(
        self, member: Member, password: str, made_with: str | None, caller: Caller
    ) -> Session:
        """The session that the making of a user is answered with. Raises what `login` raises.

        `made_with` is the hash that this very call has stored, if any. Hashes are salted, so
        only its own can be equal; whoever repeats the call, or raced it, has to log in.
        """
        if made_with is not None and member.user.password_hash == made_with:
            return await self._start(member, caller, None)
        return await self.login(member.user.email, password, caller)

    async def _start(self, member: Member, caller: Caller, attempt: Attempt | None) -> Session:
        """A session for who has proved to know the password, or has just set it."""
        if member.user.deactivate_time is not None:
            raise WrongCredentials
        if not member.account.usable:
            raise AccountInactive
        now, secret = clock.now(), one_time.new_secret()
        who = _caller_of(member, caller, new_id())
        opened = OpenSession(
            id=who.session_id,
            account_id=who.account_id,
            user_id=member.user.id,
            client_address=who.client_address,
            create_time=now,
            expire_time=now + SESSION_LIFE,
        )
        token = first_token(opened, secret, now)

        def work(connection: Connection) -> None:
            if not AccountStore(connection).is_unchanged(member.user):
                raise WrongCredentials
            if attempt is not None:
                settle(connection, attempt)
            AuditStore(connection, who).record(Deed(action="session.started", object_id=opened.id))
            SessionStore(connection).open(opened, token)

        await self._database.write(work)
        refresh_token = one_time.written(one_time.REFRESH, token.id, secret)
        return await self._session(member, who, refresh_token, REFRESH_LIFE)

    async def refresh(self, refresh_token: str, caller: Caller) -> Session:
        """The session with its next tokens.

        A token that was used before, and not just now, ends its session. Raises
        InvalidCredential, TokenExpired, AccountInactive.
        """
        shown = one_time.read(one_time.REFRESH, refresh_token)
        if shown is None:
            raise InvalidCredential
        now = clock.now()
        outcome = await self._database.write(lambda c: exchange(c, shown, caller, now))
        match outcome:
            case Refused(why=why, ended_account_id=ended):
                if ended:
                    self._on_change(ended)
                raise why
            case Exchanged(member=member, token=token, secret=secret):
                who = _caller_of(member, caller, token.session_id)
                text = one_time.written(one_time.REFRESH, token.id, secret)
                return await self._session(member, who, text, token.expire_time - now)

    async def logout(self, caller: Caller, *, everywhere: bool) -> None:
        """Ends the caller's session, or all of them. Raises NotAPerson."""
        user_id, now = user_id_of(caller), clock.now()

        def work(connection: Connection) -> None:
            store, audit = SessionStore(connection), AuditStore(connection, caller)
            if everywhere:
                ended = store.end_all(caller.account_id, user_id, SessionEnd.LOGOUT, now)
            else:
                session_id = caller.session_id
                ended = store.end(caller.account_id, session_id, SessionEnd.LOGOUT, now)
            if ended:
                which = {"everywhere": everywhere}
                audit.record(Deed(action="session.ended", object_id=caller.session_id, after=which))

        await self._database.write(work)
        self._on_change(caller.account_id)

    async def change_password(self, current: str, new: str, caller: Caller) -> None:
        """Changes the caller's password and ends their other sessions.

        Raises NotAPerson, WrongPassword, TooManyAttempts.
        """
        user_id = user_id_of(caller)
        member = await self._database.read(
            lambda connection: AccountStore(connection).by_id(caller.account_id, user_id)
        )
        if member is None:
            raise InvalidCredential
        async with self._attempts.one(member.user.email, caller.client_address) as attempt:
            if not await self._passwords.matches(current, member.user.password_hash):
                raise WrongPassword
            new_hash = await self._passwords.hash(new)

        def work(connection: Connection) -> None:
            AccountStore(connection).locked(caller.account_id)
            users = UserStore(connection, caller)
            user = users.get(user_id)
            if user.password_hash != member.user.password_hash:
                # Somebody else has changed it in between; theirs counts.
                raise WrongPassword
            self._set_password(connection, user, new_hash, caller)
            # Last, as in a login: the user's row comes before the counts.
            settle(connection, attempt)

        await self._database.write(work)
        self._on_change(caller.account_id)

    async def get_me(self, caller: Caller) -> Me:
        """Who the caller is. Raises Unauthenticated for one who is neither user nor key."""
        kind, _, principal_id = caller.principal.partition(":")

        def work(connection: Connection) -> Me | None:
            account = AccountStore(connection).account(caller.account_id)
            if account is None:
                return None
            sites = SiteStore(connection, caller)
            if kind == "key":
                key = KeyStore(connection, caller).get(principal_id)
                return Me(account=account, role=caller.role, api_key=key, site=sites.active(""))
            # An operator at work on another account is a user of their own.
            home = caller.acting_for or caller.account_id
            member = AccountStore(connection).by_id(home, principal_id)
            if kind != "user" or member is None:
                return None
            chosen = sites.active(member.user.active_site_id)
            return Me(account=account, role=caller.role, user=member.user, site=chosen)

        me = await self._database.read(work)
        if me is None:
            raise Unauthenticated
        return me

    def _set_password(
        self, connection: Connection, user: User, password_hash: str, caller: Caller
    ) -> None:
        now = clock.now()
        UserStore(connection, caller).set_password(user.id, password_hash, now)
        ended = SessionStore(connection).end_all(
            user.account_id, user.id, SessionEnd.PASSWORD_CHANGED, now, but=caller.session_id
        )
        AuditStore(connection, caller).record(
            Deed(action="user.password_changed", object_id=user.id, after={"sessions_ended": ended})
        )

    async def _session(
        self, member: Member, who: Caller, refresh_token: str, refresh_life: timedelta
    ) -> Session:
        def active_site(connection: Connection) -> Site | None:
            return SiteStore(connection, who).active(member.user.active_site_id)

        return Session(
            access_token=self._tokens.mint(member.user, who.session_id),
            expires_in_s=int(LIFE.total_seconds()),
            refresh_token=refresh_token,
            refresh_expires_in_s=int(refresh_life.total_seconds()),
            user=member.user,
            account=member.account,
            site=await self._database.read(active_site),
        )


def _caller_of(member: Member, caller: Caller, session_id: str) -> Caller:
    """The user in whose name the session is, on the call that is running."""
    return replace(
        caller,
        principal=f"user:{member.user.id}",
        account_id=member.account.id,
        role=member.user.role,
        allowed_sites=member.user.allowed_sites,
        session_id=session_id,
    )
