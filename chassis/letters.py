"""Lists dead letters and sends them again: `python -m chassis.letters list | redrive ID …`.

Reads WRITER_DATABASE_URL of the service and, to send, WRITER_NATS_URL.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from chassis import dead_letters
from chassis.bus import Bus
from chassis.commands import own_database
from chassis.database import Database
from chassis.errors import Refusal
from chassis.settings import SettingsError

WITHIN_S = 10.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; exits with a sentence when it cannot."""
    parser = argparse.ArgumentParser(prog="letters", description="Deliveries nobody could handle.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="show the oldest ones, a line each")
    listing.add_argument("--consumer", default="", help="only of this consumer")
    redriving = verbs.add_parser("redrive", help="deliver again to the consumer that failed")
    redriving.add_argument("ids", nargs="+", metavar="ID")
    asked = parser.parse_args(arguments)
    try:
        asyncio.run(_run(asked))
    except (SettingsError, Refusal) as error:
        sys.exit(f"letters: {error}")


async def _run(asked: argparse.Namespace) -> None:
    async with own_database() as database:
        if asked.verb == "list":
            await _list(database, asked.consumer)
        else:
            await _redrive(database, asked.ids)


async def _list(database: Database, consumer: str) -> None:
    letters = await database.read(lambda c: dead_letters.list_letters(c, consumer=consumer))
    for letter in letters:
        sys.stdout.write(
            f"{letter.id}  {letter.create_time.isoformat()}  {letter.consumer}  "
            f"{letter.subject}  attempts {letter.attempts}  {letter.reason}\n"
        )
    sys.stdout.write(f"{len(letters)} dead letters\n")


async def _redrive(database: Database, ids: Sequence[str]) -> None:
    url = os.environ.get("WRITER_NATS_URL")
    if not url:
        raise SettingsError("WRITER_NATS_URL is not set")
    bus = Bus(url, "letters")
    await bus.open(WITHIN_S)
    try:
        for letter_id in ids:
            await dead_letters.redrive(database, bus, letter_id)
            sys.stdout.write(f"{letter_id} sent again\n")
    finally:
        await bus.close()


if __name__ == "__main__":
    main()
