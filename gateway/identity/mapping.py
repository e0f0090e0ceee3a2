"""Domain to contract and back; pure. A password or a key passes only where it is asked for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from writer.identity.v1 import audit_pb2, identity_pb2, invitations_pb2, sites_pb2

from chassis.errors import InvalidFields, Violation
from chassis.etags import etag_of
from chassis.ids import derived_id
from chassis.times import to_timestamp
from gateway.identity.domain import (
    Account,
    ApiKey,
    AuditEntry,
    AuditFilter,
    Invitation,
    InvitationRequest,
    KeyRequest,
    Me,
    Registration,
    Role,
    Sector,
    Session,
    Site,
    User,
    normal_email,
)
from gateway.identity.errors import InvalidExpiry

_ROLES = identity_pb2.Role.Value


def registration_from_proto(request: identity_pb2.RegisterRequest) -> Registration:
    """What the request tells."""
    return Registration(
        email=request.email,
        password=request.password,
        name=request.name,
        account_name=request.account_name,
        site_name=request.site_name,
        sector_name=request.sector_name,
    )


def stranger(email: str) -> str:
    """The principal of somebody of whom no more than the address is known."""
    return f"stranger:{derived_id('stranger', normal_email(email))}"


def without_password(request: identity_pb2.RegisterRequest) -> identity_pb2.RegisterRequest:
    """What may be remembered of the request: even its hash must not help to guess a password."""
    remembered = identity_pb2.RegisterRequest()
    remembered.CopyFrom(request)
    remembered.password = ""
    return remembered


def registered_to_proto(owner: User) -> identity_pb2.Session:
    """What is remembered of the answer: whose it was, and no token."""
    return identity_pb2.Session(user=identity_pb2.User(id=owner.id))


def session_to_proto(session: Session) -> identity_pb2.Session:
    """The session with its token."""
    return identity_pb2.Session(
        access_token=session.access_token,
        expires_in_s=session.expires_in_s,
        refresh_token=session.refresh_token,
        refresh_expires_in_s=session.refresh_expires_in_s,
        user=user_to_proto(session.user),
        account=account_to_proto(session.account),
        site_id=session.site.id if session.site else "",
        sector_id=session.site.default_sector_id if session.site else "",
    )


def me_to_proto(me: Me) -> identity_pb2.Me:
    """Who the caller is."""
    return identity_pb2.Me(
        account=account_to_proto(me.account),
        role=_ROLES.Value(me.role),
        user=user_to_proto(me.user) if me.user else None,
        api_key=api_key_to_proto(me.api_key) if me.api_key else None,
        site_id=me.site.id if me.site else "",
        sector_id=me.site.default_sector_id if me.site else "",
    )


def account_to_proto(account: Account) -> identity_pb2.Account:
    """The account as its people see it."""
    return identity_pb2.Account(
        id=account.id,
        name=account.name,
        status=identity_pb2.Account.Status.Value(account.status),
        create_time=to_timestamp(account.create_time),
        allowed_origins=account.allowed_origins,
        etag=etag_of(account.revision, account.guarded),
        update_time=to_timestamp(account.update_time),
    )


def user_to_proto(user: User) -> identity_pb2.User:
    """The user as the account sees them."""
    return identity_pb2.User(
        id=user.id,
        email=user.email,
        name=user.name,
        role=_ROLES.Value(user.role),
        create_time=to_timestamp(user.create_time),
        active_site_id=user.active_site_id,
        granted_site_ids=user.granted_sites,
        deactivate_time=to_timestamp(user.deactivate_time),
        etag=etag_of(user.revision, user.guarded),
        update_time=to_timestamp(user.update_time),
    )


def key_request_from_proto(key: identity_pb2.ApiKey) -> KeyRequest:
    """What a caller may say about a key. Raises InvalidExpiry for a time beyond all calendars."""
    return KeyRequest(
        name=key.name,
        role=role_from_proto(key.role) or Role.EDITOR,
        limited_site_id=key.limited_site_id,
        expire_time=_time(key.expire_time) if key.HasField("expire_time") else None,
    )


def api_key_to_proto(key: ApiKey) -> identity_pb2.ApiKey:
    """The key as lists show it, without the key itself."""
    return identity_pb2.ApiKey(
        id=key.id,
        name=key.name,
        role=_ROLES.Value(key.role),
        limited_site_id=key.limited_site_id,
        prefix=key.prefix,
        expire_time=to_timestamp(key.expire_time),
        revoke_time=to_timestamp(key.revoke_time),
        last_use_time=to_timestamp(key.last_use_time),
        create_time=to_timestamp(key.create_time),
        rotate_time=to_timestamp(key.rotate_time),
    )


def site_to_proto(site: Site) -> sites_pb2.Site:
    """The site as its account sees it."""
    return sites_pb2.Site(
        id=site.id,
        name=site.name,
        url=site.url,
        default_sector_id=site.default_sector_id,
        create_time=to_timestamp(site.create_time),
    )


def sector_to_proto(sector: Sector) -> sites_pb2.Sector:
    """The sector as its account sees it."""
    return sites_pb2.Sector(
        id=sector.id,
        site_id=sector.site_id,
        name=sector.name,
        create_time=to_timestamp(sector.create_time),
    )


def role_from_proto(value: identity_pb2.Role.Value.ValueType) -> Role | None:
    """None when the field was not given."""
    return Role(_ROLES.Name(value)) if value else None


def invitation_request_from_proto(invitation: invitations_pb2.Invitation) -> InvitationRequest:
    """Whom somebody wants to invite, and as what."""
    return InvitationRequest(
        email=invitation.email,
        role=role_from_proto(invitation.role) or Role.VIEWER,
        granted_sites=tuple(invitation.granted_site_ids),
    )


def invitation_to_proto(invitation: Invitation) -> invitations_pb2.Invitation:
    """The invitation as lists show it, without its token."""
    return invitations_pb2.Invitation(
        id=invitation.id,
        email=invitation.email,
        role=_ROLES.Value(invitation.role),
        granted_site_ids=invitation.granted_sites,
        expire_time=to_timestamp(invitation.expire_time),
        accept_time=to_timestamp(invitation.accept_time),
        revoke_time=to_timestamp(invitation.revoke_time),
        create_time=to_timestamp(invitation.create_time),
    )


def changes(request: Any, *names: str, needed: Collection[str] = ()) -> dict[str, Any]:
    """The fields that a request changes, texts without blanks around: those in its mask, else
    those that are given. Raises InvalidFields for a mask with others, and where one that is
    `needed` would become empty.
    """
    paths = set(request.update_mask.paths)
    if paths - set(names):
        raise InvalidFields(Violation("update_mask", f"may name {' and '.join(names)}"))
    given = {field.name for field, _ in request.ListFields()}
    found = {name: getattr(request, name) for name in names if name in (paths or given)}
    found = {
        name: value.strip() if isinstance(value, str) else value for name, value in found.items()
    }
    emptied = [name for name in needed if name in found and not found[name]]
    if emptied:
        raise InvalidFields(*(Violation(name, "is required") for name in emptied))
    return found


def audit_filter_from_proto(request: audit_pb2.ListAuditEntriesRequest) -> AuditFilter:
    """Which entries are asked for. Raises InvalidFields for a time beyond all calendars."""
    times: dict[str, datetime | None] = {"start_time": None, "end_time": None}
    for name in times:
        if request.HasField(name):  # type: ignore[arg-type]
            try:
                times[name] = getattr(request, name).ToDatetime(UTC)
            except (ValueError, OverflowError) as error:
                raise InvalidFields(Violation(name, "is not a time")) from error
    return AuditFilter(
        action=request.action,
        actor=request.actor,
        object_id=request.object_id,
        start_time=times["start_time"],
        end_time=times["end_time"],
    )


def audit_entry_to_proto(entry: AuditEntry) -> audit_pb2.AuditEntry:
    """The entry as admins see it."""
    message = audit_pb2.AuditEntry(
        id=entry.id,
        action=entry.deed.action,
        actor=entry.actor,
        acting_for=entry.acting_for,
        object_type=entry.deed.object_type,
        object_id=entry.deed.object_id,
        reason=entry.deed.reason,
        client_address=entry.client_address,
        request_id=entry.request_id,
        create_time=to_timestamp(entry.create_time),
    )
    message.before.update(entry.deed.before)
    message.after.update(entry.deed.after)
    return message


def _time(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidExpiry from error
