"""Servicers on a real gRPC server with the chassis' layers, and callers with real signatures."""

import functools
from contextlib import AsyncExitStack, asynccontextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from chassis.caller import Caller, Signer, Verifier
from chassis.client import Peer
from chassis.server import Server

ISSUERS = ("gateway", "tasks", "content", "images", "billing")


@functools.cache
def signing_keys():
    """One key pair an issuer, made once a session."""
    return {issuer: Ed25519PrivateKey.generate() for issuer in ISSUERS}


@functools.cache
def trusted_keys():
    """The public halves, as every process knows them."""
    return {issuer: key.public_key() for issuer, key in signing_keys().items()}


def signer(issuer="gateway"):
    """Vouches in the name of `issuer`."""
    return Signer(issuer, signing_keys()[issuer])


def user(account_id="acme", role="owner", **fields):
    """A user as the gateway vouches for one."""
    return Caller(
        issuer="gateway",
        principal=fields.pop("principal", f"user:{role}-of-{account_id}"),
        account_id=account_id,
        role=role,
        **fields,
    )


def anonymous():
    """Somebody without credentials, as the gateway lets one through to public methods."""
    return Caller(issuer="gateway", principal="anonymous", account_id="")


def service(name, account_id="acme", **fields):
    """A service that acts as itself for a tenant."""
    return Caller.service(name, account_id=account_id, **fields)


class Served:
    """A running server, and the peers that reach it in the name of one issuer or another."""

    def __init__(self, server, name, stack):
        self.server = server
        self.name = name
        self.address = f"127.0.0.1:{server.port}"
        self._stack = stack

    def peer(self, issuer="gateway"):
        """A connection that is closed together with the server."""
        opened = Peer(self.name, self.address, signer(issuer))
        self._stack.push_async_callback(opened.close)
        return opened


@asynccontextmanager
async def serve(servicers, name):
    """Serves `[(add_X_to_server, servicer)]` as the service `name` on a free port."""
    server = Server("127.0.0.1:0", servicers, Verifier(trusted_keys(), audience=name))
    await server.start()
    await server.ready()
    try:
        async with AsyncExitStack() as stack:
            yield Served(server, name, stack)
    finally:
        await server.stop()


@asynccontextmanager
async def peer(name, address, issuer="gateway"):
    """A peer at any address."""
    opened = Peer(name, address, signer(issuer))
    try:
        yield opened
    finally:
        await opened.close()


def error_info(error):
    """The only ErrorInfo of a failed call."""
    found = []
    for detail in rpc_status.from_call(error).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            found.append(info)
    [info] = found
    return info
