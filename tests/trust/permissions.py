"""The permissions as a document for people; run as a program it prints the document.

Written from the descriptors and the one table of roles; docs/permissions.md is compared with it,
so that a change of a declaration is seen where changes are read.
"""

from __future__ import annotations

import sys
from pathlib import Path

from trust.contract import methods

from chassis.access import LEVELS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
HEAD = """# Who may call what

Written from the policies in `protos/`, which the gateway, every service and the reference of the
REST API read as well; a role's levels are in `chassis/access.py`. The services named call in their
own name, for the tenant that they name. Do not edit: a test compares it with what
`PYTHONPATH=tests .venv/bin/python -m trust.permissions > docs/permissions.md` writes.

| method | route | level | roles | services |
|---|---|---|---|---|
"""


def document() -> str:
    """The whole text."""
    rows = []
    for method in sorted(methods(), key=str):
        level = method.policy.access
        roles = [role for role, levels in LEVELS.items() if level in levels]
        who = "everyone" if method.level == "public" else " ".join(roles)
        route = f"`{method.verb} {method.template}`" if method.verb else ""
        callers = " ".join(method.policy.callers)
        rows.append(f"| {method} | {route} | {method.level} | {who} | {callers} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
