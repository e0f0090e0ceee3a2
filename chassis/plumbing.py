"""The tables that every service's database has, in one place for metadata and migrations.

`outbox`: events to be published. `inbox`: events that were handled. `replies`: answers by
request id. `dead_letters`: deliveries that nobody could handle.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from chassis.columns import UtcDateTime

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")


def new_metadata() -> MetaData:
    """Metadata of one service: stable constraint names and the four tables."""
    metadata = MetaData(naming_convention=NAMING)
    for name, columns in _tables().items():
        Table(name, metadata, *columns)
    outbox, dead = metadata.tables["outbox"], metadata.tables["dead_letters"]
    inbox, replies = metadata.tables["inbox"], metadata.tables["replies"]
    Index("ix_outbox_claim_time", outbox.c.claim_time)
    Index("ix_inbox_create_time", inbox.c.create_time)
    Index("ix_replies_create_time", replies.c.create_time)
    Index("ix_dead_letters_create_time", dead.c.create_time)
    return metadata


def create_plumbing(op: Any) -> None:
    """Creates the four tables; called by the first migration of every service."""
    for name, columns in _tables().items():
        op.create_table(name, *columns)
    op.create_index("ix_outbox_claim_time", "outbox", ["claim_time"])
    for name in ("inbox", "replies", "dead_letters"):
        op.create_index(f"ix_{name}_create_time", name, ["create_time"])


def _tables() -> dict[str, list[Column[Any]]]:
    time = UtcDateTime()
    return {
        "outbox": [
            Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
            Column("event_id", String(36), nullable=False),
            Column("subject", String(255), nullable=False),
            Column("type", String(128), nullable=False),
            Column("about", String(128), nullable=False),
            Column("source", String(32), nullable=False),
            Column("payload", LargeBinary, nullable=False),
            Column("request_id", String(64), nullable=False),
            Column("traceparent", String(64), nullable=False),
            Column("create_time", time, nullable=False),
            # Until when a relay has this row; null or past means free.
            Column("claim_time", time, nullable=True),
        ],
        "inbox": [
            Column("consumer", String(64), primary_key=True),
            Column("event_id", String(36), primary_key=True),
            Column("create_time", time, nullable=False),
        ],
        "replies": [
            Column("account_id", String(36), primary_key=True),
            Column("principal", String(64), primary_key=True),
            Column("method", String(128), primary_key=True),
            Column("request_id", String(64), primary_key=True),
            Column("request_hash", String(64), nullable=False),
            Column("response", LargeBinary, nullable=False),
            Column("create_time", time, nullable=False),
        ],
        "dead_letters": [
            Column("id", String(36), primary_key=True),
            Column("consumer", String(64), nullable=False),
            Column("event_id", String(64), nullable=False),
            Column("subject", String(255), nullable=False),
            Column("headers", Text, nullable=False),
            Column("payload", LargeBinary, nullable=False),
            Column("reason", Text, nullable=False),
            Column("attempts", Integer, nullable=False),
            Column("create_time", time, nullable=False),
        ],
    }
