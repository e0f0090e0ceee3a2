"""`./writer demo`: three articles, from the brief to the pictures, before the user's eyes."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

from standalone import model, up
from standalone.failures import Failure, Interrupted
from standalone.place import Place
from standalone.ports import USUAL_PORT, listen
from standalone.progress import Progress
from standalone.rest import Refused, Rest, Unreachable
from standalone.seed import cluster, demo_account
from standalone.stack import Stack

CLUSTER = "Demo: home coffee"
WITHIN_S = 900.0
"""For the whole run: real models take minutes for three articles with nine pictures."""
SETTLE_S = 30.0
"""Until the last charge has been booked, and has reached the run, after the run has ended."""
POLL_S = 0.5
BOOKINGS_MAX = 100
"""Of an account since our run began; three articles with their pictures make 15."""
ENDED = frozenset({"succeeded", "partly_failed", "failed", "cancelled", "budget_reached"})


@dataclass(frozen=True, kw_only=True)
class Target:
    """A Writer to show, and who we are there."""

    url: str
    api_key: str
    site_id: str
    sector_id: str
    model: str
    fresh: str = ""
    """How to get an account with all its credits, for people; empty where we cannot know."""

    @property
    def rest(self) -> Rest:
        """The API with our key."""
        return Rest(self.url, f"ApiKey {self.api_key}")

    @property
    def scope(self) -> dict[str, str]:
        """What every new thing belongs to."""
        return {"site_id": self.site_id, "sector_id": self.sector_id}


def main(arguments: argparse.Namespace) -> int:
    """0 only when all three articles have their pictures and wait for review."""
    os.umask(0o077)
    stops = up.StopRequests()
    try:
        with stops.counted(), target(arguments, stops) as found:
            return show(found, stops)
    except Interrupted:
        print("writer: the demo was interrupted.", file=sys.stderr)
        return 130
    except (Failure, Refused, Unreachable) as error:
        print(f"writer: {error}", file=sys.stderr)
    except OSError as error:
        print(f"writer: {error.strerror}: {error.filename or arguments.data}.", file=sys.stderr)
    return 1


@contextmanager
def target(arguments: argparse.Namespace, stops: up.StopRequests) -> Iterator[Target]:
    """The server that was named, the stack that runs here, or one for as long as the demo takes."""
    place = Place(arguments.data)
    if arguments.url:
        yield _named(arguments)
    elif running := place.running():
        print(f"Using the Writer that runs at {running['url']}.")
        yield _of_stack(running, place, fresh=arguments.new_account)
    else:
        print("Starting a Writer for the demo …", flush=True)
        stack = Stack(arguments.data, port=_usual_port(), interrupted=stops.any)
        with up.stopping(stack, stops):
            yield _of_stack(up.ready(stack), place, fresh=arguments.new_account)
        print(f"This Writer has stopped; ./writer up{place.option} brings it back with its data.")


def _usual_port() -> int:
    """The port of `up`, so that what is printed stays true; any other when it is taken."""
    try:
        listen(USUAL_PORT).close()
    except Failure:
        return 0
    return USUAL_PORT


def _named(arguments: argparse.Namespace) -> Target:
    if not arguments.api_key:
        raise Failure("--url needs --api-key as well.")
    rest = Rest(arguments.url, f"ApiKey {arguments.api_key}")
    site_id = arguments.site_id or _first(rest, "auth/sites")
    return Target(
        url=arguments.url,
        api_key=arguments.api_key,
        site_id=site_id,
        sector_id=arguments.sector_id or _first(rest, "auth/sectors", site_id=site_id),
        model="",
    )


def _first(rest: Rest, path: str, **query: str) -> str:
    rows = rest.get(path, **query)["results"]
    if not rows:
        raise Failure(f"The account has nothing in {path}; make one first.")
    return str(rows[0]["id"])


def _of_stack(said: Mapping[str, Any], place: Place, *, fresh: bool) -> Target:
    demo = said
    if fresh:
        demo = demo_account(str(said["url"]), place, fresh=True)
        place.write_run({**said, **demo})
    return Target(
        url=str(said["url"]),
        api_key=str(demo["api_key"]),
        site_id=str(demo["site_id"]),
        sector_id=str(demo["sector_id"]),
        model=str(said["model"]),
        fresh=f" `./writer demo --new-account{place.option}` takes one with all its credits.",
    )


def show(target: Target, stops: up.StopRequests) -> int:
    """Writes the briefs at the target and prints what came of them."""
    rest = target.rest
    before = rest.get_data("billing/credits/balance")
    print(f"Model: {model.line_of(target.model) if target.model else 'as set at ' + target.url}")
    briefs = json.loads((resources.files("standalone") / "briefs.json").read_text())
    cluster_id = cluster(rest, CLUSTER, target.site_id, target.sector_id)
    tasks = [
        rest.post("writer/tasks", {**brief, **target.scope, "cluster_id": cluster_id})
        for brief in briefs
    ]
    print(f"Cluster “{CLUSTER}” with {len(tasks)} tasks. Generating with images …\n", flush=True)
    run = _generate(target, [str(task["id"]) for task in tasks], before)
    run = _follow(rest, run, stops)
    reviewed = [_tell(target, generation) for generation in run["generations"]]
    after, charged = _settled(rest, run["id"], stops)
    print(
        f"Credits: {before.get('available', 0)} before, {after.get('available', 0)} after, "
        f"{charged} charged for this run."
    )
    if run["state"] != "succeeded" or not all(reviewed):
        hint = f" Its account ran dry.{target.fresh}" if run["state"] == "budget_reached" else ""
        print(f"writer: the run ended as {run['state']}.{hint}", file=sys.stderr)
        return 1
    return 0


def _generate(target: Target, ids: list[str], before: Mapping[str, Any]) -> dict[str, Any]:
    body = {"ids": ids, "stop_after": "images"}
    try:
        return target.rest.post("writer/tasks/auto_generate_content", body)
    except Refused as refusal:
        if refusal.code != "INSUFFICIENT_CREDITS":
            raise
        raise Failure(
            f"Too few credits are left in the account: {before.get('available', 0)}.{target.fresh}"
        ) from refusal


def _follow(rest: Rest, run: dict[str, Any], stops: up.StopRequests) -> dict[str, Any]:
    """Shows how far the run is until it has ended."""
    progress = Progress(sys.stdout)
    deadline = time.monotonic() + WITHIN_S
    while True:
        run = rest.get_data(f"writer/runs/{run['id']}")
        _count_images(rest, run["generations"])
        progress.show(run)
        if run["state"] in ENDED:
            progress.end()
            return run
        if stops.any():
            raise Interrupted
        if time.monotonic() > deadline:
            raise Failure(f"The run {run['id']} has not ended within {WITHIN_S:g} s.")
        time.sleep(POLL_S)


def _count_images(rest: Rest, generations: Sequence[dict[str, Any]]) -> None:
    """Fills in how many pictures there are already; the run itself knows when all are made."""
    unfinished = {
        generation["content_id"]: generation
        for generation in generations
        if generation.get("content_id") and not (generation.get("images") or {}).get("total")
    }
    if not unfinished:
        return
    for generation in unfinished.values():
        generation["images"] = {"total": 0, "generated": 0}
    for image in rest.get("writer/images", ordering="-created_at", page_size=100)["results"]:
        if owner := unfinished.get(image["content_id"]):
            owner["images"]["total"] += 1
            owner["images"]["generated"] += image["status"] == "generated"


def _tell(target: Target, generation: Mapping[str, Any]) -> bool:
    """Prints one article; whether it waits for review."""
    if not generation.get("content_id"):
        reason = generation.get("detail") or generation.get("reason") or "no content"
        print(f"{generation['task_title']}\n  {generation['state']}: {reason}\n")
        return False
    rest = target.rest
    content = rest.get_data(f"writer/content/{generation['content_id']}")
    images = rest.get("writer/images", content_id=content["id"], ordering="position")["results"]
    print(f"{content['title']}")
    print(f"  status      {content['status']}")
    print(f"  word count  {content['word_count']}")
    for image in images:
        kind = f"{image['image_type']} {image.get('position', 0)}"
        where = image.get("image_url") or f"{image['status']} {image.get('reason', '')}"
        if where.startswith("/"):
            where = target.url + where
        print(f"  image       {kind:<12} {where}")
    print(flush=True)
    return bool(content["status"] == "review")


def _settled(rest: Rest, run_id: str, stops: up.StopRequests) -> tuple[dict[str, Any], int]:
    """The balance, and what the run was charged, once both have heard of every charge.

    What is still held back at the end of the time belongs to other runs of the account. Raises
    Failure when run and account do not agree by then, Interrupted when asked to stop.
    """
    deadline = time.monotonic() + SETTLE_S
    while True:
        # In this order: what is not held back any more has been booked by the second look.
        balance = rest.get_data("billing/credits/balance")
        booked = _booked(rest, run_id)
        charged = int(rest.get_data(f"writer/runs/{run_id}").get("credits_charged", 0))
        late = time.monotonic() > deadline
        if charged == booked and (late or not balance.get("reserved")):
            return balance, charged
        if stops.any():
            raise Interrupted
        if late:
            raise Failure(
                f"After {SETTLE_S:g} s the run says that it cost {charged} credits, "
                f"and the account was charged {booked} for it."
            )
        time.sleep(POLL_S)


def _booked(rest: Rest, run_id: str) -> int:
    """What the account was charged for this run."""
    newest = rest.get(
        "billing/credits/transactions", ordering="-created_at", page_size=BOOKINGS_MAX
    )
    return -sum(int(row["amount"]) for row in newest["results"] if row.get("run_id") == run_id)
