"""Services wired as their processes wire them, on real gRPC servers; only NATS is left out."""

from contextlib import asynccontextmanager
from pathlib import Path

from chassis.caller import Verifier
from chassis.keys import create_keys, load_signing_key, load_trusted_keys
from chassis.server import Server
from chassis.settings import Settings


class Keys:
    """Key pairs of processes, and settings that point at them."""

    def __init__(self, directory: Path, names):
        create_keys(directory, names)
        self._directory = directory
        self.trusted = load_trusted_keys(directory / "trusted.json")
        self.signing = {name: load_signing_key(directory / f"{name}.pem") for name in names}

    def settings(self, name, peers, **variables):
        return Settings.from_env(
            name,
            {
                "WRITER_LISTEN": "127.0.0.1:0",
                "WRITER_DATABASE_URL": "opened by the test",
                "WRITER_NATS_URL": "not used",
                "WRITER_SIGNING_KEY": str(self._directory / f"{name}.pem"),
                "WRITER_TRUSTED_KEYS": str(self._directory / "trusted.json"),
                **{f"WRITER_PEER_{peer.upper()}": address for peer, address in peers.items()},
                **variables,
            },
        )


@asynccontextmanager
async def served(servicers, name, keys):
    """The address of a server with these servicers."""
    server = Server("127.0.0.1:0", servicers, Verifier(keys.trusted, audience=name))
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server._server.stop(None)
