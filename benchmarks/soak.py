"""A whole Writer under steady work for a while: what its processes hold, and whether it grows.

    python benchmarks/soak.py [--minutes 10] [--pace 0.02]

Accounts register, write, read, list, fail, stream and log out again, without a pause. Every
process is sampled; growth is the slope of its memory and of its open files over the last two
thirds of the time, when caches are full. See benchmarks/README.md.
"""

import argparse
import asyncio
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from gateway.admission.throttles import PER_MINUTE
from standalone.stack import Stack

API = "/api/v1"
PASSWORD = "correct horse battery"
SAMPLES = 60
"""Over the whole time."""
WARM = 3
"""The first of so many parts does not count: caches fill, pools open, allocators settle."""
WORKERS = 6
ACCOUNTS_MAX = 40
"""Accounts that are in use at once; older ones stay in the database and are left alone."""
TIMEOUT_S = 30.0
ENVIRONMENT = {
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "",
    "WRITER_STREAM_HEARTBEAT_S": "0.5",
    "WRITER_THROTTLES": ",".join(f"{scope}=1000000" for scope in PER_MINUTE),
}


@dataclass
class Process:
    """What one process held at each sample."""

    pid: int
    rss_mb: list = field(default_factory=list)
    files: list = field(default_factory=list)

    def sample(self):
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        rss = next(line for line in lines if line.startswith("VmRSS:"))
        self.rss_mb.append(int(rss.split()[1]) / 1024)
        self.files.append(sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir()))


@dataclass
class Result:
    """What was seen."""

    minutes: float
    processes: dict
    answers: Counter
    surprises: list

    def growth(self, name):
        """Megabytes and files an hour, as in the time that counts."""
        process = self.processes[name]
        samples_an_hour = len(process.rss_mb) / self.minutes * 60
        return _slope(process.rss_mb) * samples_an_hour, _slope(process.files) * samples_an_hour

    def left_by_an_answer(self, name):
        """Bytes by which a process grows with each answer that the Writer gives."""
        megabytes, _ = self.growth(name)
        return megabytes * 2**20 * self.minutes / 60 / self.answers.total()

    def lines(self):
        heads = ("process", "RSS MB first, warm, last", "MB/h", "B/answer", "files", "files/h")
        told = ["{:10} {:28} {:>7} {:>8} {:>11} {:>8}".format(*heads)]
        for name, each in self.processes.items():
            megabytes, files = self.growth(name)
            warm = len(each.rss_mb) // WARM
            held = f"{each.rss_mb[0]:.1f}, {each.rss_mb[warm]:.1f}, {each.rss_mb[-1]:.1f}"
            span = f"{each.files[warm]:5}-{each.files[-1]:<5}"
            left = self.left_by_an_answer(name)
            told.append(f"{name:10} {held:28} {megabytes:7.1f} {left:8.0f} {span} {files:8.1f}")
        total = sum(self.answers.values())
        statuses = ", ".join(f"{status}: {n}" for status, n in sorted(self.answers.items()))
        told.append(f"{total} answers in {self.minutes:.1f} min ({statuses})")
        return told


def _slope(values):
    """Growth from sample to sample in the part that counts, by least squares: one odd sample
    does not decide it."""
    counted = values[len(values) // WARM :]
    if len(counted) < 2:
        return 0.0
    slope, _ = statistics.linear_regression(range(len(counted)), counted)
    return slope


def moments(begins_s, minutes):
    """When to sample: SAMPLES times at even distances, from the beginning on."""
    return [begins_s + number * minutes * 60 / SAMPLES for number in range(SAMPLES)]


class Load:
    """Callers that do all kinds of things, one after the other."""

    def __init__(self, client, pace_s):
        self._client = client
        self._pace_s = pace_s
        self._accounts = []
        self._numbers = itertools.count()
        self._random = random.Random(7)
        self.answers = Counter()
        self.surprises = []

    async def run(self, until_s):
        await self._register()
        await asyncio.gather(*(self._work(until_s) for _ in range(WORKERS)))

    async def _work(self, until_s):
        acts = [
            self._read, self._read, self._read, self._list, self._list, self._create,
            self._create, self._generate, self._listen, self._strange, self._stranger,
            self._session, self._register,
        ]  # fmt: skip
        while time.monotonic() < until_s:
            await self._random.choice(acts)()
            await asyncio.sleep(self._pace_s)

    async def _call(self, account, verb, path, *, expected, **options):
        headers = {"Content-Type": "application/json"} if "content" in options else {}
        if account:
            headers["Authorization"] = account["bearer"]
        answer = await self._client.request(verb, f"{API}/{path}", headers=headers, **options)
        self.answers[answer.status_code] += 1
        if answer.status_code not in expected:
            self.surprises.append(f"{verb} {path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def _any(self):
        return self._random.choice(self._accounts)

    async def _register(self):
        name = f"soak-{next(self._numbers)}"
        body = {"email": f"{name}@example.com", "password": PASSWORD}
        answer = await self._call(None, "POST", "auth/register", expected={201}, json=body)
        session = answer.json()["data"]
        account = {
            "bearer": f"Bearer {session['access_token']}",
            "email": body["email"],
            "scope": {"site_id": session["site_id"], "sector_id": session["sector_id"]},
            "tasks": [],
        }
        made = await self._call(
            account,
            "POST",
            "writer/clusters",
            expected={201},
            json={"name": name, **account["scope"]},
        )
        account["cluster_id"] = made.json()["data"]["id"]
        self._accounts = [*self._accounts, account][-ACCOUNTS_MAX:]

    async def _create(self):
        account = self._any()
        body = {
            "title": f"Coffee number {next(self._numbers)}",
            "content_type": "post",
            "content_structure": "guide",
            "word_count": 100,
            "cluster_id": account["cluster_id"],
            **account["scope"],
        }
        made = await self._call(account, "POST", "writer/tasks", expected={201}, json=body)
        account["tasks"] = [*account["tasks"], made.json()["data"]["id"]][-20:]

    async def _generate(self):
        account = self._any()
        if account["tasks"]:
            body = {"ids": [account["tasks"].pop()], "stop_after": "images"}
            path = "writer/tasks/auto_generate_content"
            # An account's hundred credits are spent after a dozen of these.
            await self._call(account, "POST", path, expected={202, 402, 409}, json=body)

    async def _read(self):
        account = self._any()
        if account["tasks"]:
            path = f"writer/tasks/{self._random.choice(account['tasks'])}"
            await self._call(account, "GET", path, expected={200})
        await self._call(account, "GET", "billing/credits/balance", expected={200})

    async def _list(self):
        account = self._any()
        for path in (
            "writer/tasks",
            "writer/content",
            "writer/images",
            "billing/credits/transactions",
        ):
            await self._call(account, "GET", path, expected={200}, params={"page_size": 50})

    async def _listen(self):
        account = self._any()
        stream = self._client.stream(
            "GET", f"{API}/events", headers={"Authorization": account["bearer"]}
        )
        async with stream as answer:
            self.answers[answer.status_code] += 1
            ends_s = time.monotonic() + 1
            async for _ in answer.aiter_bytes():
                if time.monotonic() > ends_s:
                    break

    async def _strange(self):
        account = self._any()
        await self._call(account, "POST", "writer/tasks", expected={400}, content=b'{"title": ')
        await self._call(account, "GET", f"writer/tasks/{next(self._numbers)}", expected={404})
        await self._call(account, "GET", "writer/tasks", expected={400}, params={"page_size": "x"})

    async def _stranger(self):
        number = next(self._numbers)
        stranger = {"bearer": f"ApiKey wk_{number:010}_nothing"}
        await self._call(stranger, "GET", "writer/tasks", expected={401})
        await self._call(None, "GET", f"nowhere/{number}", expected={404})

    async def _session(self):
        account = self._any()
        body = {"email": account["email"], "password": PASSWORD}
        answer = await self._call(None, "POST", "auth/login", expected={200, 429}, json=body)
        if answer.status_code == 200:
            session = {"bearer": f"Bearer {answer.json()['data']['access_token']}"}
            await self._call(session, "POST", "auth/logout", expected={200, 204}, json={})
            account_bearer = await self._call(
                None, "POST", "auth/login", expected={200, 429}, json=body
            )
            if account_bearer.status_code == 200:
                token = account_bearer.json()["data"]["access_token"]
                account["bearer"] = f"Bearer {token}"


async def measure(stack, *, minutes, pace_s):
    """Works for so long, and samples."""
    processes = {name: Process(pid) for name, pid in stack.pids.items()}
    begins_s = time.monotonic()
    ends_s = begins_s + minutes * 60

    async def sample():
        for moment_s in moments(begins_s, minutes):
            await asyncio.sleep(max(0.0, moment_s - time.monotonic()))
            for process in processes.values():
                process.sample()

    async with httpx.AsyncClient(base_url=stack.url, trust_env=False, timeout=TIMEOUT_S) as client:
        load = Load(client, pace_s)
        await asyncio.gather(load.run(ends_s), sample())
    return Result(minutes, processes, load.answers, load.surprises)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pace", type=float, default=0.02)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="writer-soak-") as directory,
        Stack(Path(directory), environment=ENVIRONMENT) as stack,
    ):
        result = asyncio.run(measure(stack, minutes=asked.minutes, pace_s=asked.pace))
    sys.stdout.write("\n".join([*result.lines(), *result.surprises[:20]]) + "\n")


if __name__ == "__main__":
    main()
