"""A way to a PostgreSQL server that can fall silent: connections stay, nothing comes through."""

import asyncio
import contextlib

from sqlalchemy.engine import make_url

CHUNK_BYTES = 65_536


class Relay:
    """Passes bytes on, both ways, while it `passes`."""

    def __init__(self, directory, port):
        self._socket = f"{directory}/.s.PGSQL.{port}"
        self._passing = asyncio.Event()
        self._passing.set()

    def fall_silent(self):
        """From now on nothing passes, nothing is refused and nothing is closed."""
        self._passing.clear()

    def go_on(self):
        """What was held back passes, and all that comes."""
        self._passing.set()

    async def serve(self, reader, writer):
        """One connection, until one of its ends closes."""
        others = await asyncio.open_unix_connection(self._socket)
        ways = [
            asyncio.create_task(self._pass(source, target))
            for source, target in ((reader, others[1]), (others[0], writer))
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            others[1].close()

    async def _pass(self, source, target):
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(CHUNK_BYTES):
                await self._passing.wait()
                target.write(chunk)
                await target.drain()


@contextlib.asynccontextmanager
async def relayed(url):
    """The relay, and the URL of the same database behind it."""
    direct = make_url(url)
    directory = direct.query["host"]
    relay = Relay(directory, direct.port or direct.query.get("port") or 5432)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        query = {name: text for name, text in direct.query.items() if name not in ("host", "port")}
        around = direct.set(host="127.0.0.1", port=port, query=query)
        yield relay, around.render_as_string(hide_password=False)
    finally:
        server.close()
