"""A gRPC client for the hot path: raw messages over one HTTP/2 connection to each service.

grpcio's client hands every call from a thread of its own to the event loop and back, which was
a third of what a request cost the gateway. This one lives in the loop. It speaks what gRPC
needs of HTTP/2 (RFC 9113; "gRPC over HTTP2") and nothing else: no TLS, no compression, no
requests in streams (docs/decisions/0015-a-grpc-client-for-the-gateway.md).

A call goes down from channel (connecting, repeating) to connection and sender, and its answer
comes up from reader over connection to calls; places is who waits for whom.
"""

from gateway.channel.calls import CallFailed, StreamingCall
from gateway.channel.channel import Channel, Method
from gateway.channel.headers import Metadata

__all__ = ["CallFailed", "Channel", "Metadata", "Method", "StreamingCall"]
