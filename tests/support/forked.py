"""A program with `main()`, to be forked from a process that has imported it already."""

import os
import sys
import threading

from chassis.ids import new_id

IMPORTED_BY = os.getpid()


def main() -> None:
    """Says what became of what was there before the fork."""
    shared = os.getpid() != IMPORTED_BY
    alone = threading.active_count() == 1
    sys.stdout.write(f"{shared} {alone} {new_id()} {os.environ.get('NAME')}\n")
    sys.stdout.flush()
    code = os.environ.get("EXIT", "")
    sys.exit(int(code) if code.isdigit() else code or None)


if __name__ == "__main__":
    main()
