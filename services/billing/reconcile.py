"""`python -m services.billing.reconcile`: proves that the ledger and its projections agree.

Reads WRITER_DATABASE_URL. Exit code 0: no drift. 1: drift, one line for each. 2: not able to
tell. With `--rebuild` projected balances that drift are derived anew; the exit code still
tells what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from chassis.database import open_database
from services.billing.service import Reconciliation

URL = "WRITER_DATABASE_URL"


async def reconcile(url: str, *, rebuild: bool) -> int:
    """Prints every drift and returns how many there are."""
    database = open_database(url)
    try:
        reconciliation = Reconciliation(database)
        found = [drift async for drift in reconciliation.drifts()]
        for drift in found:
            sys.stdout.write(f"{drift}\n")
        if rebuild:
            for account_id in sorted({drift.account_id for drift in found}):
                balance = await reconciliation.rebuild(account_id)
                sys.stdout.write(f"{account_id}: projected balance derived: {balance}\n")
    finally:
        await database.close()
    sys.stdout.write(f"{len(found)} drifts\n")
    return len(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.billing.reconcile")
    parser.add_argument(
        "--rebuild", action="store_true", help="derive projected balances that drift anew"
    )
    options = parser.parse_args(arguments)
    url = os.environ.get(URL)
    if not url:
        sys.stderr.write(f"{URL} is not set\n")
        return 2
    try:
        drifts = asyncio.run(reconcile(url, rebuild=options.rebuild))
    except (SQLAlchemyError, ArgumentError, OSError, ValueError) as error:
        sys.stderr.write(f"the books cannot be read: {error}\n")
        return 2
    return 1 if drifts else 0


if __name__ == "__main__":
    sys.exit(main())
