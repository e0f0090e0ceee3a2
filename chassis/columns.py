"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Column, DateTime, Dialect, String, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time, kept to the millisecond on both databases."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """What comes out; unsaid, it would be any object."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuses naive times, because nobody can know what they mean."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        moment = value if value.tzinfo is UTC else value.astimezone(UTC)
        zone = None if dialect.name == "sqlite" else UTC
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=zone)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002  the signature is SQLAlchemy's
    ) -> datetime | None:
        """SQLite keeps no zone; what was stored is UTC."""
        return None if value is None else value.replace(tzinfo=UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """None on PostgreSQL, whose driver makes UTC times: rows are taken as they come."""
        return super().result_processor(dialect, coltype) if dialect.name == "sqlite" else None


class JsonDocument(TypeDecorator[Any]):
    """A JSON value: JSONB on PostgreSQL, text on SQLite."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """JSONB where there is one."""
        return dialect.type_descriptor(JSONB() if dialect.name == "postgresql" else JSON())


def tenant_columns() -> list[Column[str]]:
    """Key and tenant of a row; keys start with the account, so that tables can be split by it."""
    return [
        Column("account_id", String(36), primary_key=True),
        Column("id", String(36), primary_key=True),
        Column("site_id", String(36), nullable=False),
        Column("sector_id", String(36), nullable=False),
    ]
