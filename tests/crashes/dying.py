"""A service that dies where a test tells it to; runs in place of the service's own program.

An order is a file in the directory CRASH_ORDERS, named `<process>.<point>`. Whoever carries
it out removes it and kills itself, so that it happens once. Without orders this is the
service as it always is: production code has no hook for any of this.
"""

from __future__ import annotations

import functools
import os
import signal
from importlib import import_module as module
from pathlib import Path

from chassis import consumers, outbox
from chassis.bus import Bus

ANSWERS = {consumers.ACK: "ack", consumers.TERMINATE: "terminate"}


class Orders:
    """What this process has been told to die of."""

    def __init__(self, directory: Path, process: str) -> None:
        self._directory = directory
        self._process = process

    def stand(self, point: str) -> bool:
        """Whether there is such an order."""
        return (self._directory / f"{self._process}.{point}").exists()

    def carry_out(self, point: str) -> None:
        """Does not return if there is such an order."""
        try:
            (self._directory / f"{self._process}.{point}").unlink()
        except FileNotFoundError:
            return
        die()


def die() -> None:
    """Ends this process as a crash would."""
    os.kill(os.getpid(), signal.SIGKILL)


def fact_of(subject: str) -> str:
    """`thing.fact` of an event."""
    return ".".join(subject.split(".")[-2:])


def wrap(owner, name, *, before=None, after=None):
    """Calls `before` and `after` with the arguments around an asynchronous method."""
    original = getattr(owner, name)

    @functools.wraps(original)
    async def wrapped(self, *args, **kwargs):
        if before:
            before(*args, **kwargs)
        result = await original(self, *args, **kwargs)
        if after:
            after(*args, **kwargs)
        return result

    setattr(owner, name, wrapped)


def install(orders: Orders) -> None:
    """Makes this process look at its orders wherever it could die."""

    def answering(msg, answer):
        if kind := ANSWERS.get(answer):
            orders.carry_out(f"{kind}.{msg.metadata.consumer}")

    def relaying(point):
        def look(batch):
            for event in batch:
                orders.carry_out(f"{point}.{fact_of(event.subject)}")

        return look

    claim = outbox.Relay._claim

    def claimed(self, connection):
        rows = claim(self, connection)
        for row in rows:
            orders.carry_out(f"commit.{fact_of(row.subject)}")
        return rows

    # The effect of the event is committed, NATS does not know yet.
    wrap(consumers.Consumers, "_answer", before=answering)
    # Committed, and the relay's claim is not; claimed and not sent; stored by NATS and not
    # deleted here.
    outbox.Relay._claim = claimed
    wrap(Bus, "publish", before=relaying("publish"), after=relaying("published"))


def install_own(orders: Orders, process: str) -> None:
    """The same for what only this process does."""

    def after(owner, method, point):
        wrap(owner, method, after=lambda *_args, **_kwargs: orders.carry_out(point))

    if process == "tasks":
        after(module("services.tasks.peers").Billing, "reserve", "reserved")
    elif process == "images":
        after(module("services.images.peers").Billing, "reserve", "reserved")
        after(module("services.images.files").Files, "put", "filed")
    elif process == "gateway":
        after(module("gateway.identity.peers").Billing, "open_account", "opened")
    elif process == "content":

        def writing(brief):
            if orders.stand(f"poison.{brief.title}"):
                die()

        wrap(module("services.content.providers.author").Author, "write", before=writing)


def main() -> None:
    """Runs the process named in CRASH_PROCESS."""
    process = os.environ["CRASH_PROCESS"]
    orders = Orders(Path(os.environ["CRASH_ORDERS"]), process)
    install(orders)
    install_own(orders, process)
    package = "gateway" if process == "gateway" else f"services.{process}"
    module(f"{package}.__main__").main()
