"""A gRPC client for the hot path: raw messages over one HTTP/2 connection to each service.

What gRPC needs of HTTP/2 and nothing else (decision 0015). A call goes down from channel
(connecting, repeating) to connection (greeting, places), sender and write_buffer; its answer
comes up from reader over connection to calls. On the wire: frames, headers."""

from gateway.grpc_client.calls import CallFailed, StreamingCall
from gateway.grpc_client.channel import Channel, Method
from gateway.grpc_client.headers import Metadata

__all__ = ["CallFailed", "Channel", "Metadata", "Method", "StreamingCall"]
