"""A TCP proxy that loses answers: it hangs up when the server has begun to answer a call."""

import asyncio
import contextlib

FRAME_HEAD_BYTES = 9
HEADERS_FRAME = 1


class DroppingProxy:
    """Forwards to one address; while `drops` is set no connection brings an answer."""

    def __init__(self, target):
        self._host, self._port = target.rsplit(":", 1)
        self.address = ""
        self.drops = True
        self.dropped = 0
        self._tasks = set()

    async def serve(self, reader, writer):
        to_reader, to_writer = await asyncio.open_connection(self._host, self._port)
        pumps = [
            asyncio.create_task(self._forward(reader, to_writer)),
            asyncio.create_task(self._answer(to_reader, writer)),
        ]
        self._tasks.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._tasks.difference_update(pumps)
            for each in (writer, to_writer):
                each.transport.abort()

    async def _forward(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def _answer(self, reader, writer):
        """Frame by frame: settings and pings pass, the first headers are an answer."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(FRAME_HEAD_BYTES)
                body = await reader.readexactly(int.from_bytes(head[:3], "big"))
                if self.drops and head[3] == HEADERS_FRAME:
                    self.dropped += 1
                    return
                writer.write(head + body)
                await writer.drain()


@contextlib.asynccontextmanager
async def dropping_proxy(target):
    """A running proxy before `target`."""
    proxy = DroppingProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(proxy._tasks):
            task.cancel()
        await server.wait_closed()
