"""What we tell a service of ourselves, before anything else."""

from __future__ import annotations

from chassis.client import METADATA_BYTES_MAX
from gateway.grpc_client import frames
from gateway.grpc_client.calls import STREAM_WINDOW
from gateway.grpc_client.frames import Setting

WINDOW_LEFT_MIN = 2**30
"""Of the connection; the calls have windows of their own, so this one is only kept open."""
GREETING = (
    frames.PREFACE
    + frames.settings(
        {
            Setting.HEADER_TABLE_SIZE: 0,
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: METADATA_BYTES_MAX,
        }
    )
    + frames.window_update(0, frames.WINDOW_MAX - frames.WINDOW_AT_START)
)
