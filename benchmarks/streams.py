"""Many readers of server-sent events on one gateway process: memory, latency, completeness.

    python benchmarks/streams.py [--readers 1000] [--accounts 10] [--rounds 50] [--pause 0.2]

A whole Writer is started. In each round one event is published for every account, so that each
reader gets one; some readers stop reading, and some hang up and come back. See
benchmarks/README.md.
"""

import argparse
import asyncio
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvloop
from writer.events.v1 import generation_pb2

from chassis import clock
from chassis.bus import Bus, Publication
from chassis.events import Envelope, subject_of
from chassis.ids import new_id
from standalone.stack import Stack

PASSWORD = "correct horse battery"
SETTLE_S = 1.0
DEADLINE_S = 60.0
POLL_S = 0.05
CONNECTING_MAX = 50
"""Readers that connect at the same time."""
STALLED_OF = 50
"""Of so many readers one stops reading."""
RETURNING_OF = 20
"""Of so many readers one hangs up in the middle and comes back with its last event id."""
SENT = re.compile(rb'"run_id":"(\d+)-(\d+)"')
ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)


@dataclass
class Reader:
    """One open stream; notes which rounds arrived, and when."""

    port: int
    authorization: str
    rounds: list = field(default_factory=list)
    latencies_s: list = field(default_factory=list)
    last_id: bytes = b""
    task: object = None
    writer: object = None

    async def connect(self):
        reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        last = f"Last-Event-ID: {self.last_id.decode()}\r\n" if self.last_id else ""
        self.writer.write(
            f"GET /api/v1/events HTTP/1.1\r\nHost: t\r\nAuthorization: {self.authorization}\r\n"
            f"{last}\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        self.task = asyncio.create_task(self._read(reader))

    async def hang_up(self):
        self.task.cancel()
        await asyncio.wait([self.task])
        self.writer.close()

    async def _read(self, reader):
        while line := await reader.readline():
            if found := ID.match(line.rstrip()):
                self.last_id = found[1]
            elif found := SENT.search(line):
                self.rounds.append(int(found[1]))
                self.latencies_s.append((time.monotonic_ns() - int(found[2])) / 1e9)


@dataclass
class Result:
    """What was measured; memory in MB."""

    readers: int
    rss_before: float
    rss_connected: float
    rss_busy: float
    rss_after: float
    deliveries: int
    seconds: float
    cpu_us: float
    """Processor time of the gateway for one delivery."""
    latencies_ms: tuple
    """Half, 99 of 100, all."""
    incomplete: int
    stalled: int

    def lines(self):
        reader_kb = (self.rss_connected - self.rss_before) * 1024 / self.readers
        half, most, slowest = self.latencies_ms
        return [
            f"readers                    {self.readers}, of which {self.stalled} stop reading",
            f"gateway RSS, no reader     {self.rss_before:.1f} MB",
            f"gateway RSS, all connected {self.rss_connected:.1f} MB, {reader_kb:.1f} KB a reader",
            f"gateway RSS, all rounds    {self.rss_busy:.1f} MB",
            f"gateway RSS, all gone      {self.rss_after:.1f} MB",
            f"deliveries                 {self.deliveries} in {self.seconds:.1f} s",
            f"gateway CPU                {self.cpu_us:.0f} us a delivery",
            f"latency p50, p99, max      {half:.1f}, {most:.1f}, {slowest:.1f} ms",
            f"readers that missed something or saw it twice: {self.incomplete}",
        ]


def rss_mb(pid):
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def cpu_s(pid):
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def register(url, number):
    """A new account: its id and the authorization of its owner."""
    body = {"email": f"reader-{number}-{new_id()}@example.com", "password": PASSWORD}
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        answer = await client.post("/api/v1/auth/register", json=body)
        answer.raise_for_status()
    session = answer.json()["data"]
    return session["account"]["id"], f"Bearer {session['access_token']}"


async def publish(bus, accounts, number):
    """One event for every account, which says when it was sent."""
    batch = []
    for account_id in accounts:
        message = generation_pb2.GenerationStarted(
            account_id=account_id, site_id="s", run_id=f"{number}-{time.monotonic_ns()}"
        )
        envelope = Envelope(event_id=new_id(), type=message.DESCRIPTOR.full_name, time=clock.now())
        batch.append(
            Publication(subject_of(message), message.SerializeToString(), envelope.headers())
        )
    assert all(await bus.publish(batch))


async def connect_all(readers):
    gate = asyncio.Semaphore(CONNECTING_MAX)

    async def connect(reader):
        async with gate:
            await reader.connect()

    await asyncio.gather(*(connect(reader) for reader in readers))


async def measure(stack, *, readers, accounts, rounds, pause_s):
    """Runs the benchmark against a running stack."""
    port, pid = int(stack.url.rpartition(":")[2]), stack.pids["gateway"]
    people = [await register(stack.url, number) for number in range(accounts)]
    bus = Bus(stack.nats.url, "benchmark")
    await bus.open()
    everybody = [Reader(port, people[number % accounts][1]) for number in range(readers)]
    before = rss_mb(pid)
    await connect_all(everybody)
    await asyncio.sleep(SETTLE_S)
    connected = rss_mb(pid)
    stalled = everybody[::STALLED_OF]
    going = [reader for number, reader in enumerate(everybody) if number % STALLED_OF]
    for reader in stalled:
        reader.task.cancel()
    returning = going[::RETURNING_OF]
    begin, used_s = time.monotonic(), cpu_s(pid)
    for number in range(rounds):
        await publish(bus, [account_id for account_id, _ in people], number)
        if number == rounds // 2:
            await asyncio.gather(*(reader.hang_up() for reader in returning))
        if number == rounds // 2 + 2:
            await connect_all(returning)
        await asyncio.sleep(pause_s)
    deadline = time.monotonic() + DEADLINE_S
    while any(len(reader.rounds) < rounds for reader in going) and time.monotonic() < deadline:
        await asyncio.sleep(POLL_S)
    seconds, used_s, busy = time.monotonic() - begin, cpu_s(pid) - used_s, rss_mb(pid)
    away = set(map(id, returning))
    times = [t for reader in going if id(reader) not in away for t in reader.latencies_s]
    deliveries = sum(len(reader.rounds) for reader in going)
    for reader in everybody:
        await reader.hang_up()
    await bus.close()
    await asyncio.sleep(SETTLE_S)
    percentiles = statistics.quantiles(times, n=100)
    return Result(
        readers=readers,
        rss_before=before,
        rss_connected=connected,
        rss_busy=busy,
        rss_after=rss_mb(pid),
        deliveries=deliveries,
        seconds=seconds,
        cpu_us=used_s / deliveries * 1e6,
        latencies_ms=(percentiles[49] * 1e3, percentiles[98] * 1e3, max(times) * 1e3),
        incomplete=sum(reader.rounds != list(range(rounds)) for reader in going),
        stalled=len(stalled),
    )


def environment(readers):
    """What a gateway needs to hold so many readers of few accounts."""
    return {
        "OPENAI_API_KEY": "",
        "OPENAI_BASE_URL": "",
        "WRITER_STREAMS_MAX": str(readers),
        "WRITER_STREAMS_OF_ACCOUNT_MAX": str(readers),
    }


def allow_files(count):
    """Each reader is a file in both processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readers", type=int, default=1_000)
    parser.add_argument("--accounts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--pause", type=float, default=0.2)
    asked = parser.parse_args()
    allow_files(asked.readers * 2 + 500)
    with (
        tempfile.TemporaryDirectory(prefix="writer-streams-") as directory,
        Stack(Path(directory), environment=environment(asked.readers)) as stack,
    ):
        measuring = measure(
            stack,
            readers=asked.readers,
            accounts=asked.accounts,
            rounds=asked.rounds,
            pause_s=asked.pause,
        )
        result = uvloop.run(measuring)
    load = os.getloadavg()[0]
    print(
        "\n".join([*result.lines(), f"load of the machine: {load:.1f} on {os.cpu_count()} cores"])
    )
    return 1 if result.incomplete else 0


if __name__ == "__main__":
    sys.exit(main())
