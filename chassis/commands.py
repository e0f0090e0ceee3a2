"""The database of a command: whatever is wrong with it is told in one sentence."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError

from chassis import connections
from chassis.database import Database, backend_of, in_short, open_database
from chassis.errors import Unavailable
from chassis.settings import SettingsError, told_as

URL = "WRITER_DATABASE_URL"
ANSWER_WITHIN_S = 10


@asynccontextmanager
async def own_database() -> AsyncIterator[Database]:
    """The database that WRITER_DATABASE_URL names.

    Raises SettingsError when there is none, when it does not answer, or when it is not what the
    block takes it for. What goes wrong with it later is Unavailable.
    """
    url = os.environ.get(URL)
    if not url:
        raise SettingsError(f"{URL} is not set")
    with told_as(URL):
        _require_file(url)
        database = open_database(url)
    try:
        await _answer_of(database)
        yield database
    except (OperationalError, ProgrammingError) as error:
        # Such as a table that is not there. Any other error of a statement is a fault of ours.
        raise SettingsError(f"{URL}: {in_short(error)}") from error
    finally:
        await database.close()


async def _answer_of(database: Database) -> None:
    # A command has no log: the reason is in its sentence.
    logging.getLogger(connections.__name__).addHandler(logging.NullHandler())
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await database.ping()
    except TimeoutError:
        raise SettingsError(f"{URL}: no answer within {ANSWER_WITHIN_S} s") from None
    except Unavailable as error:
        raise SettingsError(f"{URL}: {in_short(error.__cause__ or error)}") from error
    except DatabaseError as error:
        raise SettingsError(f"{URL}: {in_short(error)}") from error


def _require_file(url: str) -> None:
    """Refuses a file that is not there: SQLite would make an empty one."""
    if backend_of(url) == "sqlite" and not Path(make_url(url).database or "").is_file():
        raise FileNotFoundError("there is no such file")
