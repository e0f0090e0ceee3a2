"""How people join an account: a token that makes one user."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from chassis import clock
from chassis.access import require_whole_account
from chassis.caller import Caller
from chassis.database import Database
from chassis.errors import AlreadyExists, InvalidTransition
from chassis.ids import new_id
from chassis.pages import PageQuery
from chassis.replies import Reply
from gateway.identity import one_time
from gateway.identity.domain import (
    INVITATION_LIFE,
    Deed,
    Invitation,
    InvitationRequest,
    Member,
    Session,
    User,
    normal_email,
)
from gateway.identity.errors import (
    AccountInactive,
    EmailTaken,
    InvalidCredential,
    TokenExpired,
    UnknownSite,
)
from gateway.identity.passwords import Passwords
from gateway.identity.service.common import once, require_lasting, require_rank
from gateway.identity.service.sessions import Sessions
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.audit import AuditStore
from gateway.identity.store.invitations import InvitationStore, invitation_by_id
from gateway.identity.store.sites import SiteStore
from gateway.identity.store.users import UserStore

_M = TypeVar("_M", bound=Message)


class Invitations:
    """Invitations into the caller's account, and accepting one."""

    def __init__(self, database: Database, passwords: Passwords, sessions: Sessions) -> None:
        self._database = database
        self._passwords = passwords
        self._sessions = sessions

    async def create_invitation(
        self, asked: InvitationRequest, caller: Caller, reply: Reply[Invitation, _M]
    ) -> tuple[_M, str]:
        """Makes an invitation; answers it and the token, which is empty when the call was a repeat.

        Raises Forbidden, RoleTooHigh, AlreadyExists, EmailTaken, UnknownSite.
        """
        require_whole_account(caller)
        require_rank(caller, asked.role)
        invitation_id, secret = new_id(), one_time.new_secret()
        email = normal_email(asked.email)

        def create(connection: Connection) -> Invitation:
            # Under the account's lock, or two at once would both stay open.
            AccountStore(connection).locked(caller.account_id)
            require_lasting(connection, caller)
            now = clock.now()
            _check_email(connection, email, caller)
            _check_sites(connection, asked, caller)
            invitation = Invitation(
                id=invitation_id,
                account_id=caller.account_id,
                email=email,
                role=asked.role,
                granted_sites=asked.granted_sites,
                secret_hash=one_time.kept(secret),
                create_time=now,
                expire_time=now + INVITATION_LIFE,
            )
            store = InvitationStore(connection, caller)
            store.revoke(now, email=email)
            store.create(invitation)
            told = {"email": email, "role": asked.role, "sites": list(asked.granted_sites)}
            AuditStore(connection, caller).record(
                Deed(action="invitation.created", object_id=invitation.id, after=told)
            )
            return invitation

        answer, fresh = await once(self._database, create, reply)
        token = one_time.written(one_time.INVITATION, invitation_id, secret)
        return answer, token if fresh else ""

    async def list_invitations(
        self, caller: Caller, query: PageQuery
    ) -> tuple[list[Invitation], str, int]:
        """One page of invitations, the token of the next one, and how many there are."""
        require_whole_account(caller)
        return await self._database.read(
            lambda connection: InvitationStore(connection, caller).list_invitations(query)
        )

    async def revoke_invitation(self, invitation_id: str, caller: Caller) -> Invitation:
        """Ends an invitation. Raises NotFound, InvalidTransition."""
        require_whole_account(caller)

        def work(connection: Connection) -> Invitation:
            # Under the account's lock: an acceptance looks, and then stores.
            AccountStore(connection).locked(caller.account_id)
            store = InvitationStore(connection, caller)
            if store.revoke(clock.now(), invitation_id=invitation_id):
                AuditStore(connection, caller).record(
                    Deed(action="invitation.revoked", object_id=invitation_id)
                )
            invitation = store.get(invitation_id)
            if invitation.accept_time is not None:
                raise InvalidTransition("The invitation was accepted.")
            return invitation

        return await self._database.write(work)

    async def accept_invitation(
        self, token: str, password: str, name: str, caller: Caller
    ) -> Session:
        """Makes the invited user and signs them in; a repeat is a login.

        Raises InvalidCredential, TokenExpired, EmailTaken, and what a login raises.
        """
        shown = one_time.read(one_time.INVITATION, token)
        if shown is None:
            raise InvalidCredential
        invitation = await self._database.read(lambda c: _open_invitation(c, shown))
        made_with = None
        if not invitation.user_id:
            made_with = password_hash = await self._passwords.hash(password)
            invitation = await self._database.write(
                lambda c: _accept(c, shown, password_hash, name.strip(), caller)
            )
        member = await self._database.read(lambda c: _member(c, invitation))
        # Of two that accept at once only one has set the password.
        return await self._sessions.begin(member, password, made_with, caller)


def _open_invitation(connection: Connection, shown: one_time.Presented) -> Invitation:
    """The invitation of a token; one that was accepted is answered to who can log in."""
    invitation = invitation_by_id(connection, shown.id)
    if invitation is None or not one_time.matches(shown.secret, invitation.secret_hash):
        raise InvalidCredential
    if invitation.revoke_time is not None:
        raise InvalidCredential
    if clock.now() >= invitation.expire_time:
        raise TokenExpired("invitation")
    return invitation


def _accept(
    connection: Connection, shown: one_time.Presented, password_hash: str, name: str, caller: Caller
) -> Invitation:
    invitation = _open_invitation(connection, shown)
    accounts = AccountStore(connection)
    if not accounts.locked(invitation.account_id).usable:
        raise AccountInactive
    # Again, under the lock.
    invitation = _open_invitation(connection, shown)
    if invitation.user_id:
        return invitation
    now = clock.now()
    user = User(
        id=new_id(),
        account_id=invitation.account_id,
        email=invitation.email,
        name=name,
        role=invitation.role,
        password_hash=password_hash,
        create_time=now,
        update_time=now,
    )
    accounts.add_user(user)
    who = replace(caller, account_id=user.account_id, principal=f"user:{user.id}")
    users = UserStore(connection, who)
    for site_id in invitation.granted_sites:
        users.add_site(user.id, site_id, now)
    InvitationStore(connection, who).accept(invitation.id, user.id, now)
    told = {"user_id": user.id, "email": user.email, "role": user.role}
    AuditStore(connection, who).record(
        Deed(action="invitation.accepted", object_id=invitation.id, after=told)
    )
    return replace(invitation, user_id=user.id, accept_time=now)


def _member(connection: Connection, invitation: Invitation) -> Member:
    member = AccountStore(connection).by_id(invitation.account_id, invitation.user_id)
    if member is None:
        raise InvalidCredential
    return member


def _check_email(connection: Connection, email: str, caller: Caller) -> None:
    member = AccountStore(connection).by_email(email)
    if member is None:
        return
    if member.account.id == caller.account_id:
        raise AlreadyExists("user", member.user.id)
    raise EmailTaken


def _check_sites(connection: Connection, asked: InvitationRequest, caller: Caller) -> None:
    sites = SiteStore(connection, caller)
    for index, site_id in enumerate(asked.granted_sites):
        if sites.find(site_id) is None:
            raise UnknownSite(f"invitation.granted_site_ids[{index}]")
