"""Identity on a real gRPC server with signed callers, beside a small real billing server."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace

import grpc
import pytest
from sqlalchemy import insert, update
from writer.billing.v1 import credits_pb2, credits_pb2_grpc
from writer.identity.v1 import (
    accounts_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    invitations_pb2,
    invitations_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    sites_pb2,
    sites_pb2_grpc,
    users_pb2_grpc,
)

from chassis import caller, clock, status
from chassis.caller import Caller, Signer, Verifier
from chassis.client import Peer
from chassis.database import open_database
from chassis.errors import Kind, Refusal
from chassis.ids import new_id
from chassis.keys import create_keys, load_signing_key, load_trusted_keys
from chassis.migrate import upgrade
from chassis.outbox import Outbox
from chassis.process import Host
from chassis.server import Server
from chassis.settings import Settings
from gateway.admission.principals import NO_SCOPE, ActingRequest
from gateway.identity import passwords
from gateway.identity.domain import OpenSession, Role, User
from gateway.identity.schema import accounts, metadata, site_access, users
from gateway.identity.service.refreshing import first_token
from gateway.identity.signing_keys import SigningKeys
from gateway.identity.store.sessions import SessionStore
from gateway.identity.tokens import AccessTokens
from gateway.identity.wiring import wire_identity
from gateway.upstream.callers import caller_of

PASSWORD = "correct horse battery"
STUBS = [
    (identity_pb2_grpc.IdentityServiceServicer, identity_pb2_grpc.IdentityServiceStub),
    (sites_pb2_grpc.SiteServiceServicer, sites_pb2_grpc.SiteServiceStub),
    (sessions_pb2_grpc.SessionServiceServicer, sessions_pb2_grpc.SessionServiceStub),
    (users_pb2_grpc.UserServiceServicer, users_pb2_grpc.UserServiceStub),
    (invitations_pb2_grpc.InvitationServiceServicer, invitations_pb2_grpc.InvitationServiceStub),
    (accounts_pb2_grpc.AccountServiceServicer, accounts_pb2_grpc.AccountServiceStub),
    (audit_pb2_grpc.AuditServiceServicer, audit_pb2_grpc.AuditServiceStub),
]
ANONYMOUS = Caller(issuer="gateway", principal="anonymous", account_id="")


class BillingServicer(credits_pb2_grpc.CreditServiceServicer):
    """Opens accounts as billing does: once each, however often it is asked."""

    def __init__(self):
        self.calls = Counter()
        self.callers = []
        self.lost_answers = 0

    async def OpenAccount(self, request, _context):  # noqa: N802  the contract's spelling
        who = caller.current()
        self.callers.append(who)
        self.calls[who.account_id] += 1
        if self.lost_answers:
            self.lost_answers -= 1
            raise Refusal(Kind.INTERNAL, "INTERNAL", "The answer is lost.")
        return credits_pb2.Balance(granted=100, available=100, plan=request.plan)

    @property
    def opened(self):
        return set(self.calls)


@dataclass
class World:
    """Identity as the gateway meets it: authenticate, then call in the principal's name."""

    peer: Peer
    address: str
    identity: object
    database: object
    billing: BillingServicer
    tokens: AccessTokens
    keys: object
    changes: list = field(default_factory=list)

    @property
    def authenticator(self):
        return self.identity.authenticator

    @property
    def scopes(self):
        return self.identity.scopes

    async def caller(self, authorization, **choice):
        who = await self.authenticator.authenticate(authorization)
        return replace(caller_of(who, NO_SCOPE), **choice)

    async def call(self, method, request, authorization=None, *, address="", **choice):
        """Calls one method of any service; without a credential as anonymous."""
        who = await self.caller(authorization, **choice) if authorization else ANONYMOUS
        return await self.call_as(method, request, who, address)

    async def call_as(self, method, request, who, address=""):
        """Calls a method as the gateway does, which says where the client sits."""
        stub = self.peer.stub(next(stub for base, stub in STUBS if hasattr(base, method)))
        metadata = [*self.peer.metadata(who), (caller.ADDRESS_KEY, address)]
        try:
            return await getattr(stub, method)(request, metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            raise status.from_error(error) from error

    async def refused(self, method, request, authorization=None):
        """The refusal of a call that must not succeed."""
        with pytest.raises(Refusal) as caught:
            await self.call(method, request, authorization)
        return caught.value

    async def register(self, email="ada@example.com", **fields):
        fields = {"email": email, "password": PASSWORD} | fields
        return await self.call("Register", identity_pb2.RegisterRequest(**fields))

    async def login(self, email="ada@example.com", password=PASSWORD):
        return await self.call("Login", identity_pb2.LoginRequest(email=email, password=password))

    async def owner(self, email="ada@example.com"):
        """A fresh account: its session and the owner's `Authorization` header."""
        session = await self.register(email)
        return SimpleNamespace(session=session, header=f"Bearer {session.access_token}")

    async def refresh(self, refresh_token):
        request = sessions_pb2.RefreshSessionRequest(refresh_token=refresh_token)
        return await self.call("RefreshSession", request)

    async def works(self, session):
        """Whether the access token of a session is taken."""
        try:
            await self.authenticator.authenticate(f"Bearer {session.access_token}")
        except Refusal:
            return False
        return True

    async def invite(self, header, email, **fields):
        invitation = invitations_pb2.Invitation(email=email, **fields)
        request = invitations_pb2.CreateInvitationRequest(invitation=invitation)
        return await self.call("CreateInvitation", request, header)

    async def join(self, header, email, **fields):
        """A further user, invited and logged in."""
        made = await self.invite(header, email, **fields)
        accept = invitations_pb2.AcceptInvitationRequest(token=made.token, password=PASSWORD)
        session = await self.call("AcceptInvitation", accept)
        return SimpleNamespace(session=session, header=f"Bearer {session.access_token}")

    async def operator(self, email="op@example.com"):
        """Somebody of the platform, with an account of their own."""
        made = await self.owner(email)
        await self.set_role(made.session.user.id, "developer")
        return made

    async def acting(self, operator, account_id, **changes):
        """The caller that an operator becomes on another account."""
        asked = {
            "account_id": account_id,
            "reason": "Ticket 7",
            "method": "/a/B",
            "request_id": "r-1",
            "client_address": "192.0.2.7",
        }
        own = await self.authenticator.authenticate(operator.header)
        who = await self.identity.acting.act(own, ActingRequest(**(asked | changes)))
        return caller_of(who, NO_SCOPE)

    async def audit(self, header, **wanted):
        """What the audit log of an account says, newest first."""
        request = audit_pb2.ListAuditEntriesRequest(**wanted)
        return list((await self.call("ListAuditEntries", request, header)).audit_entries)

    async def set_role(self, user_id, role):
        await self.database.write(
            lambda connection: connection.execute(
                update(users).where(users.c.id == user_id).values(role=role)
            )
        )

    async def make_key(self, header, request_id="", **fields):
        key = identity_pb2.ApiKey(**({"name": "script"} | fields))
        request = identity_pb2.CreateApiKeyRequest(api_key=key, request_id=request_id)
        return await self.call("CreateApiKey", request, header)

    async def make_site(self, header, name, **fields):
        request = sites_pb2.CreateSiteRequest(site=sites_pb2.Site(name=name, **fields))
        return await self.call("CreateSite", request, header)

    async def make_sector(self, header, site_id, name):
        sector = sites_pb2.Sector(site_id=site_id, name=name)
        return await self.call("CreateSector", sites_pb2.CreateSectorRequest(sector=sector), header)

    async def add_user(self, account_id, role, *site_ids):
        """A further user of an account, with site grants, logged in without a password."""
        user_id, now = new_id(), clock.now()

        def work(connection):
            connection.execute(
                insert(users).values(
                    account_id=account_id,
                    id=user_id,
                    email=f"{user_id}@example.com",
                    name="",
                    role=role,
                    password_hash="",
                    revision=1,
                    create_time=now,
                    update_time=now,
                )
            )
            for site_id in site_ids:
                connection.execute(
                    insert(site_access).values(
                        account_id=account_id, user_id=user_id, site_id=site_id, create_time=now
                    )
                )

        await self.database.write(work)
        return f"Bearer {await self.token(user_id, account_id, role)}"

    async def token(self, user_id, account_id, role):
        """A token as a login would give it."""
        now = clock.now()
        session = OpenSession(
            id=new_id(),
            account_id=account_id,
            user_id=user_id,
            client_address="",
            create_time=now,
            expire_time=now + timedelta(days=1),
        )
        token = first_token(session, "unknown", now)
        await self.database.write(lambda c: SessionStore(c).open(session, token))
        user = User(
            id=user_id,
            account_id=account_id,
            email="",
            name="",
            role=Role(role),
            password_hash="",
            create_time=now,
            update_time=now,
        )
        return self.tokens.mint(user, session.id)

    async def empty(self):
        await self.database.write(_empty)

    async def set_status(self, account_id, status):
        await self.database.write(
            lambda connection: connection.execute(
                update(accounts).where(accounts.c.id == account_id).values(status=status)
            )
        )

    async def deactivate(self, user_id):
        await self.database.write(
            lambda connection: connection.execute(
                update(users).where(users.c.id == user_id).values(deactivate_time=clock.now())
            )
        )


def _empty(connection):
    for table in reversed(metadata.sorted_tables):
        # What is append-only stays; accounts of other tests have other ids.
        if table.name != "audit_entries":
            connection.execute(table.delete())


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """Key pairs of the processes, by issuer."""
    directory = tmp_path_factory.mktemp("keys")
    names = ("gateway", "billing", "tasks")
    create_keys(directory, names)
    return SimpleNamespace(
        directory=directory,
        trusted=load_trusted_keys(directory / "trusted.json"),
        **{name: load_signing_key(directory / f"{name}.pem") for name in names},
    )


@pytest.fixture
async def billing(keys):
    servicer = BillingServicer()
    server = Server(
        "127.0.0.1:0",
        [(credits_pb2_grpc.add_CreditServiceServicer_to_server, servicer)],
        Verifier(keys.trusted, audience="billing"),
    )
    await server.start()
    yield SimpleNamespace(servicer=servicer, address=f"127.0.0.1:{server.port}")
    await server._server.stop(None)


@pytest.fixture(scope="session")
def database_urls():
    """One migrated database for each dialect."""
    return {}


@pytest.fixture
async def database(request, dialect, database_urls, tmp_path_factory):
    """An empty database. It is emptied rather than made anew: PostgreSQL takes 0.3 s for one."""
    if dialect not in database_urls:
        if dialect == "postgresql":
            postgres = request.getfixturevalue("postgres")
            url = postgres.url(postgres.create())
        else:
            url = f"sqlite:///{tmp_path_factory.mktemp('identity')}/identity.db"
        # Migrations run an event loop of their own.
        await asyncio.to_thread(upgrade, url, "gateway.identity")
        database_urls[dialect] = url
    opened = open_database(database_urls[dialect])
    await opened.write(_empty)
    yield opened
    await opened.close()


@pytest.fixture
def cheap_passwords(monkeypatch):
    """For suites that register many people and are about something else."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 64)


@pytest.fixture
async def world(keys, billing, database):
    """Identity with its own database, on SQLite and on PostgreSQL."""
    settings = Settings.from_env(
        "gateway",
        {
            "WRITER_LISTEN": "127.0.0.1:0",
            "WRITER_DATABASE_URL": "unused: the database is opened by the test",
            "WRITER_NATS_URL": "unused",
            "WRITER_SIGNING_KEY": str(keys.directory / "gateway.pem"),
            "WRITER_TRUSTED_KEYS": str(keys.directory / "trusted.json"),
            "WRITER_PEER_BILLING": billing.address,
        },
    )
    signer = Signer("gateway", keys.gateway)
    host = Host(settings, database, Outbox("gateway"), signer)
    changes = []
    identity = wire_identity(host, changes.append)
    server = Server(
        "127.0.0.1:0", identity.parts.servicers, Verifier(keys.trusted, audience="identity")
    )
    await server.start()
    address = f"127.0.0.1:{server.port}"
    peer = Peer("identity", address, signer)
    yield World(
        peer=peer,
        address=address,
        identity=identity,
        database=database,
        billing=billing.servicer,
        tokens=AccessTokens("gateway", SigningKeys("gateway", keys.gateway)),
        keys=keys,
        changes=changes,
    )
    await peer.close()
    await server._server.stop(None)
    for close in identity.parts.close:
        await close()
    for used in host.peers.values():
        await used.close()
