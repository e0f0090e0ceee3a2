"""The Writer beside a tuned Django REST Framework peer, both on PostgreSQL, in one interleaved run.

    python benchmarks/gateway_django.py --peer DIR [--seconds 3] [--rounds 5] [--connections 16]

DIR is the running peer's folder (or $WRITER_BENCH_PEER): benchmarks/README.md says what it must
be and hold. Needs `wrk`. Nothing is pinned: both sides have all cores, and share them with the
load tool and their database.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gateway_stack import postgres, same_interpreter, writer
from load import Target, Work, ask, compare, require_wrk, show

PAGES, CONTENTS, SETS, SET = 5, 100, 18, 100
AIMS = {
    "list of 50 tasks": ">= 2 x the peer's throughput",
    "list of 20 contents with bodies": ">= 2 x the peer's throughput",
    "get of a content": ">= 3 x the peer's throughput",
    "create of a task": ">= 2 x the peer's throughput",
    "status of 100 tasks": ">= 1.5 x the peer's throughput",
}
BRIEF = {
    "description": "A task that the benchmark makes.",
    "keywords": "alpha, beta, gamma",
    "content_type": "post",
    "content_structure": "article",
    "word_count": 1000,
}


def peer_target(directory):
    """The peer as it described itself when it started."""
    lines = (directory / "peer.env").read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    pids = [
        int(pid)
        for group in said["PEER_PROCS"].split(",")
        for pid in group.split("=")[1].split("+")
    ]
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {said['PEER_TOKEN']}"}
    address = said["PEER_BASE"].removeprefix("http://")
    return Target(name="peer", address=address, headers=headers, pids=tuple(pids)), said


def peer_works(target, said):
    base = "/api/v1/writer"
    scope = f"site_id={said['PEER_READ_SITE']}"

    def ids(path, pages):
        return [
            row["id"]
            for page in range(1, pages + 1)
            for row in ask(target, ("GET", f"{path}&page={page}", ""))[1]["data"]["results"]
        ]

    contents = ids(f"{base}/content/?{scope}&page_size=20", PAGES)
    work_site = f"site_id={said['PEER_WORK_SITE']}"
    tasks = ids(f"{base}/tasks/?{work_site}&page_size=100&ordering=id", SETS)
    place = {
        "site_id": int(said["PEER_CREATE_SITE"]),
        "sector_id": int(said["PEER_CREATE_SECTOR"]),
        "cluster_id": int(said["PEER_CREATE_CLUSTER"]),
    }
    rows = "data.results"
    return {
        "list of 50 tasks": _pages(f"{base}/tasks/?{scope}&page_size=50", (rows, 50)),
        "list of 20 contents with bodies": _pages(
            f"{base}/content/?{scope}&page_size=20", (rows, 20)
        ),
        "get of a content": Work(requests=[("GET", f"{base}/content/{i}/", "") for i in contents]),
        "create of a task": _creates(f"{base}/tasks/", place),
        "status of 100 tasks": _bulk(f"{base}/tasks/bulk_update/", tasks),
    }


def our_works(seeded):
    base = "/api/v1/writer"
    read, create, work = seeded
    scope = f"site_id={read['site_id']}"
    newest = read["contents"][: -CONTENTS - 1 : -1]
    place = {name: create[name] for name in ("site_id", "sector_id", "cluster_id")}
    return {
        "list of 50 tasks": _pages(f"{base}/tasks?{scope}&page_size=50", ("results", 50)),
        "list of 20 contents with bodies": _pages(
            f"{base}/content?{scope}&page_size=20&view=full", ("results", 20)
        ),
        "get of a content": Work(requests=[("GET", f"{base}/content/{i}", "") for i in newest]),
        "create of a task": _creates(f"{base}/tasks", place),
        "status of 100 tasks": _bulk(f"{base}/tasks/bulk_update", work["tasks"]),
    }


def _pages(path, rows):
    requests = [("GET", f"{path}&page={page}", "") for page in range(1, PAGES + 1)]
    return Work(requests=requests, rows=rows)


def _creates(path, place):
    bodies = ({"title": f"Benchmark task {n}", **BRIEF, **place} for n in range(2_000))
    return Work(requests=[("POST", path, json.dumps(body)) for body in bodies], status=201)


def _bulk(path, ids):
    """Disjoint sets, so that requests in flight never want the same rows."""
    ids = sorted(ids)
    sets = [ids[first : first + SET] for first in range(0, SETS * SET, SET)]
    requests = [
        ("POST", path, json.dumps({"ids": chosen, "status": status}))
        for status in ("completed", "queued")
        for chosen in sets
    ]
    return Work(requests=requests)


def python_of(pid):
    """The build of Python that a process runs."""
    code = "import sys; print(sys.version, sys.implementation.cache_tag)"
    program = Path(f"/proc/{pid}/exe").resolve()
    return subprocess.run(
        [program, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, default=os.environ.get("WRITER_BENCH_PEER"))
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", default="", help="part of the names of what is measured")
    parser.add_argument("--replicas", default="", help="such as gateway=2,tasks=2; 1 otherwise")
    options = parser.parse_args()
    if options.peer is None:
        parser.error("--peer or WRITER_BENCH_PEER is needed")
    require_wrk()
    peer, said = peer_target(Path(options.peer))
    same_interpreter(python_of(peer.pids[0]))
    replicas = dict(pair.split("=") for pair in options.replicas.split(",") if pair)
    replicas = {name: int(count) for name, count in replicas.items()}
    with (
        tempfile.TemporaryDirectory() as directory,
        postgres() as (urls, server),
        writer(Path(directory), urls, replicas=replicas) as (stack, account, seeded),
    ):
        pids = (*stack.pids.values(), server)
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"ApiKey {account['api_key']}",
        }
        ours = Target(
            name="writer", address=stack.url.removeprefix("http://"), headers=headers, pids=pids
        )
        theirs, mine = peer_works(peer, said), our_works(seeded)
        works = {
            name: {peer: theirs[name], ours: mine[name]} for name in AIMS if options.only in name
        }
        print(f"cores: {os.cpu_count()}, load: {' '.join(f'{n:.1f}' for n in os.getloadavg())}")
        show(compare(works, options.connections, options.seconds, options.rounds), "peer", AIMS)
        print(f"\nload: {' '.join(f'{n:.1f}' for n in os.getloadavg())}")


if __name__ == "__main__":
    sys.exit(main())
