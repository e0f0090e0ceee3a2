"""Our gateway without the work of authentication: whoever comes is the same editor.

    python benchmarks/gateway_open.py host:port tasks-host:port signing-key.pem

Everything else is as in the real one, the signed token for the service included.
"""

import sys

import uvloop

from chassis import telemetry
from chassis.caller import Signer
from chassis.ids import new_id
from chassis.keys import load_signing_key
from chassis.process import keep_for_good
from gateway.admission.principals import Principal, Scope
from gateway.app import build_app, build_upstream
from gateway.contracts import load_contracts
from gateway.http.server import http_server, listening_socket

WHO = Principal(principal="user:bench", role="editor", account_id=new_id())


class LetPass:
    """Asks nobody anything."""

    async def authenticate(self, _authorization):
        return WHO

    async def resolve(self, _principal, site_id, sector_id, **_options):
        return Scope(site_id=site_id, sector_id=sector_id, sector_name="Outdoor")


async def serve(address, tasks, key):
    contracts, everybody = load_contracts(), LetPass()
    signer = Signer("gateway", load_signing_key(key))
    upstream = build_upstream(contracts, {"tasks": tasks}, signer)
    app = build_app(contracts, upstream, everybody, everybody)
    keep_for_good()
    await http_server(app).serve(sockets=[listening_socket(address)])


if __name__ == "__main__":
    telemetry.set_up_logging("gateway", "INFO")
    uvloop.run(serve(*sys.argv[1:]))
