"""The verbs of ./writer."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from standalone.place import USUAL
from standalone.ports import USUAL_PORT
from standalone.prepare import PACKAGES

PORT_MAX = 65_535
PORT_CHARS_MAX = 5


def main(argv: Sequence[str]) -> int:
    """Runs one verb; its modules are imported for it alone."""
    known = parser()
    arguments, rest = known.parse_known_args(argv)
    if rest and arguments.verb != "test":
        known.error(f"unrecognized arguments: {' '.join(rest)}")
    code: int = VERBS[arguments.verb](arguments, rest)
    return code


def parser() -> argparse.ArgumentParser:
    """All verbs with their options."""
    top = argparse.ArgumentParser(prog="./writer", description="The Writer on one machine.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    up = verbs.add_parser("up", help="start everything here; Ctrl-C stops it")
    up.add_argument(
        "--port", type=_port, default=USUAL_PORT, help="of the REST API; 0: any (%(default)s)"
    )
    up.add_argument("--json", action="store_true", help="one line of JSON when ready, no other")
    up.add_argument("--spawn", action="store_true", help="let every process import for itself")

    demo = verbs.add_parser("demo", help="make three illustrated articles")
    demo.add_argument("--new-account", action="store_true", help="take an account with all credits")
    demo.add_argument("--url", default="", help="of a Writer elsewhere")
    demo.add_argument("--api-key", default=os.environ.get("WRITER_API_KEY", ""), help="for --url")
    demo.add_argument("--site-id", default="", help="for --url; the first one when absent")
    demo.add_argument("--sector-id", default="", help="for --url; the first one when absent")
    for verb in (up, demo):
        verb.add_argument(
            "--data",
            type=Path,
            default=USUAL,
            metavar="DIR",
            help="folder of databases, events, pictures, keys and logs (%(default)s)",
        )

    test = verbs.add_parser(
        "test", help="run the tests; other arguments go to pytest", allow_abbrev=False
    )
    test.add_argument("--slow", action="store_true", help="run the long ones, too")
    verbs.add_parser("check", help="run the static checks")
    verbs.add_parser("protos", help="write protos/gen anew from the contracts")
    verbs.add_parser("openapi", help="print the OpenAPI document of the REST API")

    keys = verbs.add_parser("keys", help="make the signing keys that are missing")
    keys.add_argument("directory", type=Path)
    keys.add_argument("--separate", action="store_true", help="a folder for each process")
    migrate = verbs.add_parser("migrate", help="bring one database to the newest schema")
    migrate.add_argument("service", choices=sorted(PACKAGES))
    migrate.add_argument("--database-url", default=os.environ.get("WRITER_DATABASE_URL", ""))
    return top


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > PORT_CHARS_MAX or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {PORT_MAX}")
    return int(text)


def _up(arguments: argparse.Namespace, _rest: Sequence[str]) -> int:
    from standalone import up

    return up.main(arguments)


def _demo(arguments: argparse.Namespace, _rest: Sequence[str]) -> int:
    from standalone import demo

    return demo.main(arguments)


def _test(arguments: argparse.Namespace, rest: Sequence[str]) -> int:
    from standalone import suite

    return suite.run(rest, slow=arguments.slow)


def _check(_arguments: argparse.Namespace, _rest: Sequence[str]) -> int:
    from standalone import checks

    return checks.run_all()


def _protos(_arguments: argparse.Namespace, _rest: Sequence[str]) -> int:
    from standalone import checks

    return checks.regenerate()


def _openapi(_arguments: argparse.Namespace, _rest: Sequence[str]) -> int:
    from standalone import openapi

    openapi.print_document()
    return 0


def _keys(arguments: argparse.Namespace, _rest: Sequence[str]) -> int:
    from standalone import prepare

    make = prepare.make_separate_keys if arguments.separate else prepare.make_keys
    make(arguments.directory)
    return 0


def _migrate(arguments: argparse.Namespace, _rest: Sequence[str]) -> int:
    from chassis.settings import SettingsError
    from standalone import prepare

    if not arguments.database_url:
        print("writer: migrate needs --database-url or WRITER_DATABASE_URL.", file=sys.stderr)
        return 2
    try:
        prepare.migrate(arguments.service, arguments.database_url)
    except SettingsError as error:
        print(f"writer: {error}", file=sys.stderr)
        return 1
    return 0


VERBS = {
    "up": _up,
    "demo": _demo,
    "test": _test,
    "check": _check,
    "protos": _protos,
    "openapi": _openapi,
    "keys": _keys,
    "migrate": _migrate,
}


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
