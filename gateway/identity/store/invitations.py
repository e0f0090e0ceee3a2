"""Rows of invitations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.pages import PageQuery, paginate
from chassis.tenancy import visible
from gateway.identity.domain import Invitation, Role
from gateway.identity.schema import invitations

_SORTABLE = {"created_at": invitations.c.create_time}


class InvitationStore:
    """Invitations into the caller's account, over one connection."""

    def __init__(self, connection: Connection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def create(self, invitation: Invitation) -> None:
        """Inserts an invitation."""
        self._connection.execute(
            insert(invitations).values(
                account_id=self._caller.account_id,
                id=invitation.id,
                email=invitation.email,
                role=invitation.role,
                granted_sites=list(invitation.granted_sites),
                secret_hash=invitation.secret_hash,
                create_time=invitation.create_time,
                expire_time=invitation.expire_time,
            )
        )

    def get(self, invitation_id: str) -> Invitation:
        """One invitation. Raises NotFound."""
        row = self._connection.execute(
            select(invitations).where(
                *visible(invitations, self._caller), invitations.c.id == invitation_id
            )
        ).one_or_none()
        if row is None:
            raise NotFound("invitation", invitation_id)
        return _invitation_from_row(row)

    def list_invitations(self, query: PageQuery) -> tuple[list[Invitation], str, int]:
        """One page, the token of the next one, and how many there are."""
        page = paginate(
            self._connection,
            select(invitations).where(*visible(invitations, self._caller)),
            query,
            sortable=_SORTABLE,
            default="-created_at",
            tie=invitations.c.id,
        )
        return [_invitation_from_row(row) for row in page.rows], page.next_token, page.total_size

    def revoke(self, now: datetime, *, invitation_id: str = "", email: str = "") -> int:
        """Ends the open invitation with this id, or all open ones of an address; says how many."""
        which = invitations.c.id == invitation_id if invitation_id else invitations.c.email == email
        return self._connection.execute(
            update(invitations)
            .where(
                *visible(invitations, self._caller),
                which,
                invitations.c.accept_time.is_(None),
                invitations.c.revoke_time.is_(None),
            )
            .values(revoke_time=now)
        ).rowcount

    def accept(self, invitation_id: str, user_id: str, now: datetime) -> None:
        """Notes who accepted an invitation."""
        self._connection.execute(
            update(invitations)
            .where(*visible(invitations, self._caller), invitations.c.id == invitation_id)
            .values(accept_time=now, user_id=user_id)
        )


def invitation_by_id(connection: Connection, invitation_id: str) -> Invitation | None:
    """The invitation, whatever the account: its token tells which one."""
    row = connection.execute(
        select(invitations).where(invitations.c.id == invitation_id)
    ).one_or_none()
    return None if row is None else _invitation_from_row(row)


def _invitation_from_row(row: Row[Any]) -> Invitation:
    return Invitation(
        id=row.id,
        account_id=row.account_id,
        email=row.email,
        role=Role(row.role),
        granted_sites=tuple(row.granted_sites),
        secret_hash=row.secret_hash,
        user_id=row.user_id or "",
        create_time=row.create_time,
        expire_time=row.expire_time,
        accept_time=row.accept_time,
        revoke_time=row.revoke_time,
    )
