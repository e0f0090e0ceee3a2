"""What may be wrong when a process starts: each said in one sentence that names its variable."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from chassis import migrate
from chassis.caller import Verifier
from chassis.database import backend_of, in_short
from chassis.keys import load_trusted_keys
from chassis.server import Server, Servicer
from chassis.settings import Settings, SettingsError, told_as

log = logging.getLogger(__name__)


def bring_up_to_date(url: str, package: str) -> None:
    """Migrates the database of a package. Raises SettingsError."""
    with told_as("WRITER_DATABASE_URL"):
        backend_of(url)
    # Before: whoever waits for a database that does not answer shall see for what.
    log.info("the database is being brought up to date")
    try:
        migrate.upgrade(url, package)
    except (OSError, SQLAlchemyError) as error:
        raise SettingsError(f"the database cannot be migrated: {in_short(error)}") from error


def grpc_server(
    settings: Settings,
    servicers: Sequence[Servicer],
    *,
    audience: str,
    variable: str = "WRITER_LISTEN",
    address: str = "",
) -> Server:
    """The server of a process, for callers who mean this audience. Raises SettingsError."""
    with told_as("WRITER_TRUSTED_KEYS"):
        verifier = Verifier(load_trusted_keys(settings.trusted_keys), audience=audience)
    with told_as(variable, (RuntimeError,)):
        return Server(
            address or settings.listen,
            servicers,
            verifier,
            reuse_port=settings.reuse_port,
            engine=settings.grpc_engine,
        )
