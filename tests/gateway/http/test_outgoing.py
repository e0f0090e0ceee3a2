"""What waits for a client that does not take it in, over real sockets."""

import asyncio
import socket

import pytest
from support.sockets import WAIT_S, exchange, serving, unread

from gateway.http import outgoing

LITTLE = 50_000
"""Less than what makes a transport ask for patience, more than the kernel keeps here."""


async def until_closed(sock):
    """All that still comes; fails when the server does not let go."""
    found = b""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                part = await asyncio.get_running_loop().sock_recv(sock, 65_536)
            except ConnectionResetError:
                return found
            if not part:
                return found
            found += part


def answer_of(size):
    async def app(_scope, _receive, send):
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * size})

    return app


@pytest.mark.parametrize("is_half_closed", [False, True])
@pytest.mark.parametrize(
    "more", [b"Connection: close\r\n\r\n", b"\r\nGARBAGE\r\n\r\n", b"\r\n", b"\r\nGET /x HT"]
)
async def test_a_little_that_nobody_takes_in_is_given_up(more, is_half_closed):
    bounds = {"write_timeout_s": 0.1, "keep_alive_s": 0.2, "head_timeout_s": 0.2}
    asked = b"GET / HTTP/1.1\r\nHost: t\r\n" + more
    served = serving(answer_of(LITTLE), send_buffer_bytes=4_096, **bounds)
    async with served as port, unread(port, asked) as sock:
        await asyncio.sleep(0.1)
        if is_half_closed:
            sock.shutdown(socket.SHUT_WR)
        # Longer than the server waits, whatever for.
        await asyncio.sleep(0.6)
        assert 0 < len(await until_closed(sock)) < LITTLE


async def test_a_little_that_is_taken_in_late_comes_whole():
    bounds = {"write_timeout_s": 1.0, "send_buffer_bytes": 4_096}
    asked = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
    async with serving(answer_of(LITTLE), **bounds) as port, unread(port, asked) as sock:
        await asyncio.sleep(0.2)
        assert (await until_closed(sock)).count(b"x" * 100) == LITTLE // 100


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_an_answer_of_unknown_length_has_chunks_only_where_they_are_known(version):
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"two", b""):
            await send({"type": "http.response.body", "body": part, "more_body": bool(part)})

    async with serving(app) as port:
        asked = b"GET / HTTP/%s\r\nHost: t\r\nConnection: close\r\n\r\n" % version
        head, _, body = (await exchange(port, asked)).partition(b"\r\n\r\n")
    if version == b"1.0":
        assert body == b"one two"
        assert b"transfer-encoding" not in head
    else:
        assert body == b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"
    assert b"connection: close" in head


async def test_head_and_body_leave_together(monkeypatch):
    written = []
    transport_of = outgoing.Outgoing.__init__

    def noted(self, loop, transport, timeout_s):
        transport_of(self, loop, Noting(transport, written), timeout_s)

    monkeypatch.setattr(outgoing.Outgoing, "__init__", noted)
    async with serving(answer_of(3)) as port:
        await exchange(port, b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        await exchange(port, b"HEAD / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    (head, body), (alone,) = written
    assert body == b"xxx"
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert alone.endswith(b"\r\n\r\n")


class Noting:
    """A transport that notes what is written in one go."""

    def __init__(self, transport, written):
        self._transport = transport
        self._written = written

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, data):
        self._written.append((data,))
        self._transport.write(data)

    def writelines(self, parts):
        self._written.append(tuple(parts))
        self._transport.writelines(parts)
