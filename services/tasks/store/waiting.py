"""Generations that wait for their turn, over all accounts: what the dispatcher reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from chassis import clock
from services.tasks.domain import ACTIVE, GenerationState
from services.tasks.schema import generations, runs


def next_in_turn(connection: Connection, *, in_flight_max: int, batch: int) -> Sequence[Row[Any]]:
    """Up to `batch` waiting generations, the first of every account before the second of any.

    No account gets more than `in_flight_max` released and unfinished ones.
    """
    waiting = (
        select(
            generations,
            func.row_number()
            .over(
                partition_by=generations.c.account_id,
                order_by=(generations.c.create_time, generations.c.position),
            )
            .label("turn"),
        )
        .where(generations.c.state == GenerationState.QUEUED, generations.c.release_time.is_(None))
        .subquery()
    )
    in_flight = (
        select(generations.c.account_id, func.count().label("running"))
        .where(generations.c.state.in_(ACTIVE), generations.c.release_time.is_not(None))
        .group_by(generations.c.account_id)
        .subquery()
    )
    return connection.execute(
        select(waiting, runs.c.stop_after, runs.c.request_id)
        .join(runs, (runs.c.account_id == waiting.c.account_id) & (runs.c.id == waiting.c.run_id))
        .outerjoin(in_flight, in_flight.c.account_id == waiting.c.account_id)
        .where(waiting.c.turn <= in_flight_max - func.coalesce(in_flight.c.running, 0))
        .order_by(waiting.c.turn, waiting.c.create_time)
        .limit(batch)
    ).all()


def release(connection: Connection, account_id: str, generation_id: str) -> bool:
    """Marks one generation as handed out; false when another dispatcher was faster."""
    result = connection.execute(
        update(generations)
        .where(
            generations.c.account_id == account_id,
            generations.c.id == generation_id,
            generations.c.state == GenerationState.QUEUED,
            generations.c.release_time.is_(None),
        )
        .values(release_time=clock.now())
    )
    return result.rowcount == 1
