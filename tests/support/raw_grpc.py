"""A gRPC server by hand: frames in, frames out, and nothing that a test has not said."""

import asyncio
import contextlib
import struct

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WAIT_S = 5.0
OK_HEAD = ((":status", "200"), ("content-type", "application/grpc"))
OK_TAIL = (("grpc-status", "0"),)


def block(fields):
    """A header block that uses no table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode([(name, value, True) for name, value in fields], huffman=False)


def message(payload, *, flag=0):
    """A message with its prefix."""
    return struct.pack(">BL", flag, len(payload)) + payload


def headers(stream, fields, *flags, **options):
    """One HEADERS frame; the last of its stream with the flag END_STREAM."""
    return HeadersFrame(stream, block(fields), flags=["END_HEADERS", *flags], **options).serialize()


def trailers(stream, fields=OK_TAIL):
    return headers(stream, fields, "END_STREAM")


def data(stream, payload, *flags, **options):
    return DataFrame(stream, payload, flags=list(flags), **options).serialize()


def in_pieces(stream, fields, size, *flags):
    """A header block cut into CONTINUATION frames of `size` bytes."""
    whole = block(fields)
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    first = HeadersFrame(stream, parts[0], flags=list(flags)).serialize()
    rest = [ContinuationFrame(stream, part).serialize() for part in parts[1:-1]]
    last = ContinuationFrame(stream, parts[-1], flags=["END_HEADERS"]).serialize()
    return b"".join((first, *rest, last))


def answer(stream, payload):
    """A whole good answer."""
    body = message(payload)
    parts = [data(stream, body[at : at + 16_384]) for at in range(0, len(body), 16_384)]
    return b"".join((headers(stream, OK_HEAD), *parts, trailers(stream)))


class Peer:
    """One connection of the client, seen from the server."""

    def __init__(self, reader, writer):
        self._reader = reader
        self._writer = writer
        self._decoder = hpack.Decoder()

    async def greet(self, settings=None):
        """Shows that we speak HTTP/2, and reads what the client says of itself."""
        self.send(SettingsFrame(0, settings=settings or {}).serialize())
        async with asyncio.timeout(WAIT_S):
            assert await self._reader.readexactly(len(PREFACE)) == PREFACE
        self.greeting = await self.next(SettingsFrame)
        self.window = (await self.frame()).window_increment
        assert "ACK" in (await self.frame()).flags

    def send(self, *parts):
        if not self._writer.is_closing():
            self._writer.write(b"".join(parts))

    async def frame(self):
        """The next frame, None when the client has hung up."""
        async with asyncio.timeout(WAIT_S):
            try:
                head = await self._reader.readexactly(9)
                found, length = Frame.parse_frame_header(memoryview(head))
                found.parse_body(memoryview(await self._reader.readexactly(length)))
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
        return found

    async def next(self, kind):
        """The next frame of a kind; others are passed over. None when the client hangs up."""
        while (found := await self.frame()) is not None:
            if isinstance(found, kind) and "ACK" not in found.flags:
                return found
        return None

    async def call(self):
        """The stream and the message of the next call that comes in one piece."""
        head = await self.next(HeadersFrame)
        self.fields = self._decoder.decode(head.data)
        body = await self.next(DataFrame)
        assert body.stream_id == head.stream_id
        return head.stream_id, body.data[5:]

    async def hang_up(self):
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class RawServer:
    """Runs `script(peer)` for each connection; what a script raises fails the test at the end."""

    def __init__(self, script):
        self._script = script
        self._tasks = []
        self.peers = 0

    @property
    def address(self):
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    def _connected(self, reader, writer):
        self.peers += 1
        self._tasks.append(asyncio.create_task(self._follow(Peer(reader, writer))))

    async def _follow(self, peer):
        try:
            await self._script(peer)
        finally:
            await peer.hang_up()

    async def stop(self):
        self._server.close()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*self._tasks)
