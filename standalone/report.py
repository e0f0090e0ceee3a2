"""What `up` says when everything is ready: for people, and as one line for scripts."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from standalone import model
from standalone.place import Place
from standalone.stack import Stack

MEGABYTE = 1024


def document(stack: Stack, demo: Mapping[str, str]) -> dict[str, Any]:
    """All that a script needs to use and to watch the stack."""
    pids = stack.pids
    addresses = stack.addresses
    services: dict[str, dict[str, Any]] = {
        name: {"address": address, "pid": pids.get(name, pids.get("gateway"))}
        for name, address in addresses.items()
    }
    services["nats"] = {"address": stack.nats.address, "pid": pids["nats"]}
    return {
        "url": stack.url,
        **demo,
        "nats_url": stack.nats.url,
        "model": stack.model,
        "services": services,
    }


def line(document: Mapping[str, Any]) -> str:
    """The document without a line break."""
    return json.dumps(document, separators=(",", ":"))


def paragraphs(document: Mapping[str, Any], place: Place, took_s: float, memory: str) -> str:
    """The same for people, with something to try."""
    rows = {
        "URL": document["url"],
        "Docs": f"{document['url']}/api/docs",
        "Login": f"{document['email']}  password {document['password']}",
        "API key": document["api_key"],
        "Model": model.line_of(document["model"]),
        "Data": f"{place.directory} (logs in {place.logs})",
        "Memory": memory,
    }
    table = "\n".join(f"  {name:<8} {value}" for name, value in rows.items() if value)
    return (
        f"The Writer is ready after {took_s:.1f} s.\n\n{table}\n\n"
        f"Create a task:\n\n  {_curl(document)}\n\n"
        f"Or see three articles being made: ./writer demo{place.option} (in a second terminal).\n"
        "Ctrl-C stops everything; the data stays."
    )


def memory_line(pids: Iterable[int]) -> str:
    """Memory of the processes, pages that they share counted once; empty where unknown."""
    total_kb, count = 0, 0
    for pid in pids:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total_kb += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
            count += 1
    return f"{total_kb // MEGABYTE} MB in {count} processes" if count else ""


def _curl(document: Mapping[str, Any]) -> str:
    task = {
        "title": "How to brew better coffee at home",
        "content_type": "post",
        "content_structure": "guide",
        "word_count": 300,
        "cluster_id": document["cluster_id"],
        "site_id": document["site_id"],
        "sector_id": document["sector_id"],
    }
    authorization = shlex.quote(f"Authorization: ApiKey {document['api_key']}")
    return (
        f"curl -s {document['url']}/api/v1/writer/tasks -H {authorization} "
        f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(task))}"
    )
