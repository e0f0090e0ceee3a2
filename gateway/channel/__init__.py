"""A gRPC client for the hot path: raw messages over one HTTP/2 connection to each service.

It speaks what gRPC needs of HTTP/2 and nothing else: no TLS, no compression, no streams of
requests (decision 0015). A call goes down from channel (connecting, repeating) to connection
and sender, and its answer comes up from reader over connection to calls.
"""

from gateway.channel.calls import CallFailed, StreamingCall
from gateway.channel.channel import Channel, Method
from gateway.channel.headers import Metadata

__all__ = ["CallFailed", "Channel", "Metadata", "Method", "StreamingCall"]
