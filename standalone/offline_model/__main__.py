"""Starts the offline model by itself: python -m standalone.offline_model --port 0"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence

from standalone.offline_model.server import BACKLOG, serve_and_tell

HOST = "127.0.0.1"


def main(argv: Sequence[str]) -> int:
    """Serves until stopped and gives the exit code; 1 when the port cannot be had."""
    parser = argparse.ArgumentParser(prog="offline_model", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    port = parser.parse_args(argv).port
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except (OSError, OverflowError) as error:
            print(f"The offline model cannot use port {port}: {error}.", file=sys.stderr)
            return 1
        sock.listen(BACKLOG)
        url = f"http://{HOST}:{sock.getsockname()[1]}/v1"
        serve_and_tell(sock, lambda: print(f"offline model ready on {url}", flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
