"""`python -m services.billing.reconcile`: proves that the ledger and all other books agree.

Reads WRITER_DATABASE_URL. Exit code 0: no drift. 1: drift, one line for each. 2: not able to
tell. With `--rebuild` projections that drift (balances, what is left of grants, what is used of
budgets) are derived anew; the exit code still tells what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import make_url

from chassis.database import backend_of, open_database
from services.billing.service import Drift, Reconciliation

URL = "WRITER_DATABASE_URL"


async def reconcile(url: str, *, rebuild: bool) -> int:
    """Prints every drift and returns how many there are."""
    database = open_database(url)
    try:
        reconciliation = Reconciliation(database)
        found = []
        async for drift in reconciliation.drifts():
            sys.stdout.write(f"{drift}\n")
            found.append(drift)
        if rebuild:
            await _rebuild(reconciliation, found)
    finally:
        await database.close()
    sys.stdout.write(f"{len(found)} drifts\n")
    return len(found)


async def _rebuild(reconciliation: Reconciliation, found: Sequence[Drift]) -> None:
    for account_id in sorted({drift.account_id for drift in found if drift.is_projection}):
        balance = await reconciliation.rebuild(account_id)
        sys.stdout.write(f"{account_id}: projections derived anew: {balance}\n")
    others = sum(not drift.is_projection for drift in found)
    if others:
        sys.stdout.write(f"{others} drifts are not of projections and stay\n")


def _require_file(url: str) -> None:
    """Refuses a file that is not there: SQLite would make an empty one."""
    if backend_of(url) == "sqlite" and not Path(make_url(url).database or "").is_file():
        raise FileNotFoundError("there is no such file")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.billing.reconcile")
    parser.add_argument("--rebuild", action="store_true", help="derive projections that drift anew")
    options = parser.parse_args(arguments)
    url = os.environ.get(URL)
    if not url:
        sys.stderr.write(f"{URL} is not set\n")
        return 2
    try:
        _require_file(url)
        drifts = asyncio.run(reconcile(url, rebuild=options.rebuild))
    except Exception as error:  # noqa: BLE001  whatever it is, it is no drift
        # The first line: of a database's errors the others are the statement.
        reason = str(error).partition("\n")[0]
        sys.stderr.write(f"the books cannot be read: {type(error).__name__}: {reason}\n")
        return 2
    return 1 if drifts else 0


if __name__ == "__main__":
    sys.exit(main())
