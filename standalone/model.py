"""Which model answers: the user's provider, or the offline model as one more process."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

OFFLINE = "offline"
OFFLINE_LINE = "offline model: deterministic texts and pictures, no provider is called"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
NO_KEY = "none"
"""Sent to servers of one's own that need no key; the client insists on one."""


def is_offline(environment: Mapping[str, str]) -> bool:
    """Whether neither a key nor a server of the user's is set."""
    return not environment.get("OPENAI_API_KEY") and not environment.get("OPENAI_BASE_URL")


def name_of(environment: Mapping[str, str]) -> str:
    """`offline`, or the address of the provider."""
    if is_offline(environment):
        return OFFLINE
    return environment.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL


def line_of(name: str) -> str:
    """The same for people."""
    return OFFLINE_LINE if name == OFFLINE else f"{name} (calls are paid for there)"


def settings_for(environment: Mapping[str, str], offline_address: str) -> dict[str, str]:
    """What the services need to know to reach the model."""
    if is_offline(environment):
        return {"OPENAI_BASE_URL": f"http://{offline_address}/v1", "OPENAI_API_KEY": OFFLINE}
    # Set but empty is not the same as unset for the client, so both are always set.
    return {
        "OPENAI_BASE_URL": name_of(environment),
        "OPENAI_API_KEY": environment.get("OPENAI_API_KEY") or NO_KEY,
    }


def main() -> None:
    """Serves the offline model on the socket in WRITER_LISTEN_FD until told to stop."""
    from standalone.offline_model.server import serve

    serve(socket.socket(fileno=int(os.environ["WRITER_LISTEN_FD"])))


if __name__ == "__main__":
    main()
