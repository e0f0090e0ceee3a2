"""The database of a command: whatever is wrong with it is told in one sentence."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from chassis.database import Database, backend_of, open_database
from chassis.settings import SettingsError

URL = "WRITER_DATABASE_URL"


@asynccontextmanager
async def own_database() -> AsyncIterator[Database]:
    """The database that WRITER_DATABASE_URL names.

    Raises SettingsError when there is none, or when it is not what the block takes it for, and
    Unavailable when it does not answer.
    """
    url = os.environ.get(URL)
    if not url:
        raise SettingsError(f"{URL} is not set")
    try:
        _require_file(url)
        database = open_database(url)
    except (ValueError, OSError) as error:
        raise SettingsError(f"{URL}: {error}") from error
    try:
        yield database
    except SQLAlchemyError as error:
        raise SettingsError(f"{URL}: {in_short(error)}") from error
    finally:
        await database.close()


def _require_file(url: str) -> None:
    """Refuses a file that is not there: SQLite would make an empty one."""
    if backend_of(url) == "sqlite" and not Path(make_url(url).database or "").is_file():
        raise FileNotFoundError("there is no such file")


def in_short(error: Exception) -> str:
    """The first line of the driver's own words, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
