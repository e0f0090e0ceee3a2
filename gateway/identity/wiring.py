"""Wires identity into the gateway's process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from writer.identity.v1 import (
    accounts_pb2_grpc,
    audit_pb2_grpc,
    identity_pb2_grpc,
    invitations_pb2_grpc,
    sessions_pb2_grpc,
    sites_pb2_grpc,
    users_pb2_grpc,
)

from chassis.keys import load_signing_key
from chassis.process import Host, Parts
from chassis.server import Servicer
from gateway.admission.principals import Acting, Authenticator, Scopes
from gateway.identity import servicer
from gateway.identity.acting import IdentityActing
from gateway.identity.authentication import IdentityAuthenticator, IdentityScopes
from gateway.identity.forgetting import Forgetting
from gateway.identity.last_uses import LastUses
from gateway.identity.passwords import Passwords
from gateway.identity.peers import Billing
from gateway.identity.service.accounts import Accounts, Origins
from gateway.identity.service.audit import Audit
from gateway.identity.service.invitations import Invitations
from gateway.identity.service.keys import Keys
from gateway.identity.service.registration import ISSUER, Registrations
from gateway.identity.service.sessions import Sessions
from gateway.identity.service.sites import Sites
from gateway.identity.service.users import Users
from gateway.identity.signing_keys import SigningKeys
from gateway.identity.tokens import AccessTokens


@dataclass(frozen=True, slots=True)
class Identity:
    """What identity brings to its host."""

    parts: Parts
    authenticator: Authenticator
    scopes: Scopes
    acting: Acting
    origins: Origins
    signing_keys: SigningKeys


def wire_identity(host: Host, on_change: Callable[[str], None] = lambda _account: None) -> Identity:
    """Puts identity together over the host's database and keys.

    `on_change` is called with an account's id after a commit that takes something away from
    it, so that whoever remembers its credentials forgets them.
    """
    database = host.database
    folder = host.settings.extra("WRITER_ACCESS_KEYS")
    signing_keys = SigningKeys(
        ISSUER, load_signing_key(host.settings.signing_key), Path(folder) if folder else None
    )
    passwords = Passwords()
    tokens = AccessTokens(ISSUER, signing_keys)
    uses = LastUses(database)
    return Identity(
        parts=Parts(
            servicers=_servicers(host, passwords, tokens, on_change),
            loops=[uses.run, Forgetting(database).run],
            close=[uses.write, passwords.close],
        ),
        authenticator=IdentityAuthenticator(database, tokens, uses),
        scopes=IdentityScopes(database),
        acting=IdentityActing(database),
        origins=Origins(database),
        signing_keys=signing_keys,
    )


def _servicers(
    host: Host, passwords: Passwords, tokens: AccessTokens, on_change: Callable[[str], None]
) -> list[Servicer]:
    database = host.database
    sessions = Sessions(database, passwords, tokens, on_change)
    registrations = Registrations(database, passwords, Billing(host.peer("billing")), sessions)
    accounts = Accounts(database, host.outbox, on_change)
    return [
        (
            identity_pb2_grpc.add_IdentityServiceServicer_to_server,
            servicer.IdentityServicer(registrations, sessions, Keys(database, on_change)),
        ),
        (
            sessions_pb2_grpc.add_SessionServiceServicer_to_server,
            servicer.SessionServicer(sessions),
        ),
        (
            users_pb2_grpc.add_UserServiceServicer_to_server,
            servicer.UserServicer(Users(database, on_change)),
        ),
        (
            invitations_pb2_grpc.add_InvitationServiceServicer_to_server,
            servicer.InvitationServicer(Invitations(database, passwords, sessions)),
        ),
        (
            accounts_pb2_grpc.add_AccountServiceServicer_to_server,
            servicer.AccountServicer(accounts),
        ),
        (
            audit_pb2_grpc.add_AuditServiceServicer_to_server,
            servicer.AuditServicer(Audit(database)),
        ),
        (sites_pb2_grpc.add_SiteServiceServicer_to_server, servicer.SiteServicer(Sites(database))),
    ]
