"""`python -m gateway.identity`: what operators do to identity beside its API.

`rotate-keys FOLDER` adds a signing key for access tokens and removes those that nothing needs
any more. `appoint EMAIL` makes a user an operator; it reads WRITER_DATABASE_URL.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Connection

from chassis import clock
from chassis.caller import Caller
from chassis.commands import own_database
from chassis.database import Database
from chassis.errors import Refusal
from chassis.settings import SettingsError
from gateway.identity.domain import OPERATORS, Deed, Role, normal_email
from gateway.identity.signing_keys import SIGNS_AFTER, TooManyKeys, rotate
from gateway.identity.store.accounts import AccountStore
from gateway.identity.store.audit import AuditStore
from gateway.identity.store.users import UserStore

ACTOR = "command"
"""Who the audit log says it was."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m gateway.identity")
    verbs = parser.add_subparsers(required=True)
    rotating = verbs.add_parser("rotate-keys", help="add a signing key, remove what is over")
    rotating.add_argument("folder", type=Path, help="what WRITER_ACCESS_KEYS names")
    rotating.set_defaults(run=lambda given: _rotate_keys(given.folder))
    appointing = verbs.add_parser("appoint", help="make a user an operator of the platform")
    appointing.add_argument("email")
    appointing.add_argument(
        "--role", default=Role.DEVELOPER.value, choices=sorted(role.value for role in OPERATORS)
    )
    appointing.set_defaults(run=lambda given: _appoint(given.email, Role(given.role)))
    given = parser.parse_args(arguments)
    code: int = given.run(given)
    return code


def _rotate_keys(folder: Path) -> int:
    try:
        kid = rotate(folder)
    except TooManyKeys:
        return _refuse("there are as many keys as can be kept; wait until the oldest is over")
    except OSError as error:
        return _refuse(str(error))
    minutes = int(SIGNS_AFTER.total_seconds() // 60)
    sys.stdout.write(f"{kid} signs in {minutes} minutes\n")
    return 0


def _appoint(email: str, role: Role) -> int:
    try:
        appointed = asyncio.run(_appoint_in_own_database(normal_email(email), role))
    except (SettingsError, Refusal) as error:
        return _refuse(str(error))
    if not appointed:
        return _refuse(f"there is no user {email}")
    sys.stdout.write(f"{email} is {role.value}\n")
    return 0


async def _appoint_in_own_database(email: str, role: Role) -> bool:
    async with own_database() as database:
        return await appoint(database, email, role)


async def appoint(database: Database, email: str, role: Role) -> bool:
    """Gives a user the role of an operator; false when there is no such user."""

    def work(connection: Connection) -> bool:
        member = AccountStore(connection).by_email(email)
        if member is None:
            return False
        who = Caller(issuer="", principal=ACTOR, account_id=member.account.id)
        AccountStore(connection).locked(member.account.id)
        users = UserStore(connection, who)
        user = users.get(member.user.id)
        users.save(replace(user, role=role), clock.now())
        told = Deed(
            action="user.role_changed",
            object_id=user.id,
            before={"role": user.role},
            after={"role": role},
        )
        AuditStore(connection, who).record(told)
        return True

    return await database.write(work)


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"{sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
