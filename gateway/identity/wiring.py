"""Wires identity into the gateway's process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from writer.identity.v1 import identity_pb2_grpc, sites_pb2_grpc

from chassis.keys import load_signing_key
from chassis.process import Host, Parts
from gateway.authentication import Authenticator, Scopes
from gateway.identity.authentication import IdentityAuthenticator, IdentityScopes
from gateway.identity.last_uses import LastUses
from gateway.identity.passwords import Passwords
from gateway.identity.peers import Billing
from gateway.identity.service.accounts import ISSUER, Accounts
from gateway.identity.service.keys import Keys
from gateway.identity.service.sessions import Sessions
from gateway.identity.service.sites import Sites
from gateway.identity.servicer import IdentityServicer, SiteServicer
from gateway.identity.tokens import AccessTokens


@dataclass(frozen=True, slots=True)
class Identity:
    """What identity brings to its host."""

    parts: Parts
    authenticator: Authenticator
    scopes: Scopes


def wire_identity(host: Host, on_change: Callable[[str], None] = lambda _account: None) -> Identity:
    """Puts identity together over the host's database and keys.

    `on_change` is called with an account's id after a commit that takes something away from
    it, so that whoever remembers its credentials forgets them.
    """
    database = host.database
    passwords = Passwords()
    tokens = AccessTokens(ISSUER, load_signing_key(host.settings.signing_key))
    uses = LastUses(database)
    sessions = Sessions(database, passwords, tokens)
    accounts = Accounts(database, passwords, Billing(host.peer("billing")), sessions)
    identity = IdentityServicer(accounts, sessions, Keys(database, on_change))
    return Identity(
        parts=Parts(
            servicers=[
                (identity_pb2_grpc.add_IdentityServiceServicer_to_server, identity),
                (sites_pb2_grpc.add_SiteServiceServicer_to_server, SiteServicer(Sites(database))),
            ],
            loops=[uses.run],
            close=[uses.write, passwords.close],
        ),
        authenticator=IdentityAuthenticator(database, tokens, uses),
        scopes=IdentityScopes(database),
    )
