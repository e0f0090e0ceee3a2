"""A gateway behind a real socket, and talking to it byte by byte."""

import asyncio
import contextlib
import json
import socket

from gateway.http.bounds import Bounds
from gateway.http.server import http_server, listening_socket

WAIT_S = 5.0


@contextlib.asynccontextmanager
async def serving(app, *, trusted_proxies="", metrics=None, send_buffer_bytes=0, **bounds):
    """The port on which `app` is served; the kernel keeps so much for each client."""
    listening = listening_socket("127.0.0.1:0")
    if send_buffer_bytes:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    http = http_server(app, Bounds(**bounds), trusted_proxies=trusted_proxies, metrics=metrics)
    task = asyncio.create_task(http.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        http.should_exit = True
        await task


async def exchange(port, *parts):
    """Sends the parts on one connection; everything until the server closes it, nothing
    when it just breaks."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        # A server that has refused already may have closed the connection.
        with contextlib.suppress(ConnectionError):
            await writer.drain()
    try:
        async with asyncio.timeout(WAIT_S):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def unread(port, sent, receive_buffer_bytes=4_096):
    """A connection on which this was sent; it takes in next to nothing that is not read."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, sent)
        yield sock
    finally:
        sock.close()


def parsed(raw):
    """Status, headers and JSON of one raw answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body) if body else None


async def wait_for(condition):
    """Polls until it holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)
