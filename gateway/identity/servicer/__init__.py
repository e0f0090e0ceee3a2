"""The gRPC edge of identity: parse, call the service, map; one module per contract."""

from __future__ import annotations

from gateway.identity.servicer.accounts import AccountServicer, AuditServicer
from gateway.identity.servicer.identity import IdentityServicer
from gateway.identity.servicer.sessions import SessionServicer
from gateway.identity.servicer.sites import SiteServicer
from gateway.identity.servicer.users import InvitationServicer, UserServicer

__all__ = [
    "AccountServicer",
    "AuditServicer",
    "IdentityServicer",
    "InvitationServicer",
    "SessionServicer",
    "SiteServicer",
    "UserServicer",
]
