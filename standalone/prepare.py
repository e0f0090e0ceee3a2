"""Makes what the services need before they start: keys, and databases of the newest schema.

Runs as a process of its own while the services are imported: python -m standalone.prepare DIR
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

PACKAGES = {
    "tasks": "services.tasks",
    "content": "services.content",
    "images": "services.images",
    "billing": "services.billing",
    "identity": "gateway.identity",
}
"""Name of a database → package with its migrations."""
ISSUERS = ("tasks", "content", "images", "billing", "gateway")
"""Processes with a key of their own; identity lives in the gateway's."""


def make_keys(directory: Path) -> None:
    """Makes the keys that are missing."""
    from chassis.keys import create_keys

    create_keys(directory, ISSUERS)


def make_separate_keys(directory: Path) -> None:
    """Makes the keys so that each can be mounted alone: `<issuer>/<issuer>.pem`, `trusted/`."""
    from chassis.keys import TRUSTED, create_keys

    public = []
    for issuer in ISSUERS:
        create_keys(directory / issuer, [issuer])
        public += json.loads((directory / issuer / TRUSTED).read_text())["keys"]
    (directory / "trusted").mkdir(exist_ok=True)
    (directory / "trusted" / TRUSTED).write_text(json.dumps({"keys": public}, indent=1))


def migrate(name: str, url: str) -> None:
    """Brings one service's database to the newest schema. Raises SettingsError."""
    from chassis.starting import bring_up_to_date

    bring_up_to_date(url, PACKAGES[name])


def main() -> None:
    """Prepares a data directory."""
    from standalone.place import Place

    os.umask(0o077)
    place = Place(Path(sys.argv[1]))
    make_keys(place.keys)
    for name in PACKAGES:
        migrate(name, place.database_url(name))


if __name__ == "__main__":
    main()
