"""A Writer on PostgreSQL: for each service a database of its own, and a role that owns just that.

As docker-compose.yml has it; the processes are those of `./writer up`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy.engine import make_url

from chassis.migrate import upgrade
from standalone.plan import Part, Plan
from standalone.prepare import PACKAGES

_MAKE_KEYS = """
import pathlib, sys
from standalone.prepare import make_keys
make_keys(pathlib.Path(sys.argv[1]) / "keys")
"""
# In place of standalone.prepare, so that there is no SQLite file which a process could open.
ONLY_KEYS = (sys.executable, "-P", "-c", _MAKE_KEYS)


def make_databases(postgres) -> dict[str, str]:
    """URLs by the name of the service; must not be called inside an event loop."""
    urls = {}
    for service, package in PACKAGES.items():
        name = postgres.create()
        postgres.psql(f"CREATE ROLE {name} LOGIN")
        postgres.psql(f"ALTER DATABASE {name} OWNER TO {name}")
        postgres.psql(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        url = make_url(postgres.url(name)).set(username=name)
        urls[service] = url.render_as_string(hide_password=False)
        upgrade(urls[service], package)
    return urls


def moved(plan: Plan, urls: Mapping[str, str]) -> Plan:
    """The same processes, each on its database here."""

    def changed(part: Part) -> Part:
        name = "identity" if part.program.name == "gateway" else part.program.name
        if name not in urls:
            return part
        env = {**part.program.env, "WRITER_DATABASE_URL": urls[name]}
        return replace(part, program=replace(part.program, env=env))

    return replace(plan, parts=[changed(part) for part in plan.parts])
