"""`python -m services.billing.reconcile`: proves that the ledger and all other books agree.

Reads WRITER_DATABASE_URL. Exit code 0: no drift. 1: drift, one line for each. 2: not able to
tell. With `--rebuild` projections that drift (balances, what is left of grants, what is used of
budgets) are derived anew; the exit code still tells what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from chassis.commands import own_database
from chassis.errors import Refusal
from chassis.settings import SettingsError
from services.billing.service import Drift, Reconciliation


async def reconcile(*, rebuild: bool) -> int:
    """Prints every drift and returns how many there are."""
    async with own_database() as database:
        reconciliation = Reconciliation(database)
        found = []
        async for drift in reconciliation.drifts():
            sys.stdout.write(f"{drift}\n")
            found.append(drift)
        if rebuild:
            await _rebuild(reconciliation, found)
    sys.stdout.write(f"{len(found)} drifts\n")
    return len(found)


async def _rebuild(reconciliation: Reconciliation, found: Sequence[Drift]) -> None:
    for account_id in sorted({drift.account_id for drift in found if drift.is_projection}):
        balance = await reconciliation.rebuild(account_id)
        sys.stdout.write(f"{account_id}: projections derived anew: {balance}\n")
    others = sum(not drift.is_projection for drift in found)
    if others:
        sys.stdout.write(f"{others} drifts are not of projections and stay\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.billing.reconcile")
    parser.add_argument("--rebuild", action="store_true", help="derive projections that drift anew")
    options = parser.parse_args(arguments)
    try:
        drifts = asyncio.run(reconcile(rebuild=options.rebuild))
    except (SettingsError, Refusal) as error:
        sys.stderr.write(f"the books cannot be read: {error}\n")
        return 2
    except Exception as error:  # noqa: BLE001  whatever it is, it is no drift
        sys.stderr.write(f"the books cannot be read: {type(error).__name__}: {error}\n")
        return 2
    return 1 if drifts else 0


if __name__ == "__main__":
    sys.exit(main())
