"""What happens around every call, in one order.

A layer is a function `(call, proceed) -> answer`. `LAYERS` lists them from the outside in;
the reason for each place stands beside it. They are composed once per method.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_status import rpc_status
from writer.options.v1 import options_pb2

from chassis import access, caller, clock, fields, ids, status
from chassis.errors import Kind, Refusal, Unauthenticated
from chassis.log_line import Line

log = logging.getLogger("chassis.calls")

DEADLINE_DEFAULT_S = 30.0
"""For callers that set none."""
DEADLINE_MIN_S = 0.02
"""With less time left, work is refused at once: its answer could not arrive."""
_DEADLINE_MAX_S = 1e9
OPEN_PREFIXES = ("/grpc.health.v1.", "/grpc.reflection.")
"""The only services that answer without a caller."""

deadline_s: ContextVar[float | None] = ContextVar("deadline_s", default=None)
"""When the running call must be over, on clock.elapsed_s(); read by outgoing calls."""
request_id: ContextVar[str] = ContextVar("request_id", default="")
traceparent: ContextVar[str] = ContextVar("traceparent", default="")


@dataclass(slots=True)
class Call:
    """One incoming call on its way through the layers."""

    method: str
    policy: options_pb2.MethodPolicy
    metadata: dict[str, str]
    request: Message
    context: grpc.aio.ServicerContext[Any, Any]
    verifier: caller.Verifier


Proceed = Callable[[], Awaitable[Any]]
Layer = Callable[[Call, Proceed], Awaitable[Any]]


async def identify(call: Call, proceed: Proceed) -> Any:
    """Takes the request id and trace, or makes an id; everything below logs under them."""
    request_id.set(call.metadata.get(caller.REQUEST_ID_KEY, "")[:64] or ids.new_id())
    traceparent.set(call.metadata.get(caller.TRACE_KEY, "")[:64])
    return await proceed()


async def write_log(call: Call, proceed: Proceed) -> Any:
    """One line a call, with what it came to and how long it took."""
    started = clock.elapsed_s()
    outcome = "CANCELLED"
    try:
        answer = await proceed()
        outcome = "OK"
    except Refusal as refusal:
        outcome = refusal.reason
        raise
    finally:
        if log.isEnabledFor(logging.INFO):
            duration_ms = round((clock.elapsed_s() - started) * 1000, 1)
            line = {"method": call.method, "outcome": outcome, "duration_ms": duration_ms}
            log.handle(Line(log.name, "call", line))
    return answer


async def explain_errors(call: Call, proceed: Proceed) -> Any:
    """Turns whatever nobody expected into INTERNAL, once, in this place."""
    try:
        return await proceed()
    except Refusal:
        raise
    except Exception as error:
        log.exception("unexpected error", extra={"method": call.method})
        raise status.internal(request_id.get()) from error


async def keep_deadline(call: Call, proceed: Proceed) -> Any:
    """Ends the work when the caller has stopped waiting."""
    left_s = _time_left_s(call.context)
    if left_s is None:
        left_s = DEADLINE_DEFAULT_S
    if left_s < DEADLINE_MIN_S:
        raise Refusal(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "There is no time left.")
    deadline_s.set(clock.elapsed_s() + left_s)
    try:
        async with asyncio.timeout(left_s) as limit:
            return await proceed()
    except TimeoutError as error:
        if not limit.expired():
            # The work's own: nothing that the caller's patience explains.
            raise
        raise Refusal(
            Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "The call took too long."
        ) from error


async def authenticate(call: Call, proceed: Proceed) -> Any:
    """Verifies the caller token and checks the method's policy."""
    token = call.metadata.get(caller.TOKEN_KEY, "")
    if not token:
        raise Unauthenticated("The call carries no caller token.")
    who = replace(
        call.verifier.verify(token),
        request_id=request_id.get(),
        traceparent=traceparent.get(),
        client_address=call.metadata.get(caller.ADDRESS_KEY, "")[:64],
    )
    access.check(call.policy, who)
    caller.set_current(who)
    return await proceed()


async def validate(call: Call, proceed: Proceed) -> Any:
    """Checks the field rules of the contract, and what no database could store."""
    fields.check(call.request)
    return await proceed()


LAYERS: tuple[Layer, ...] = (
    identify,  # first, so that every line and answer carries the id
    write_log,  # outside of errors, so that it sees what a call came to
    explain_errors,  # outside of all that may fail
    keep_deadline,  # before work starts
    authenticate,  # before a request is looked at: strangers learn nothing about the rules
    validate,  # last: only valid requests of known callers reach a servicer
)


class Pipeline(grpc.aio.ServerInterceptor):
    """Puts the layers around unary and server-streaming methods of known services."""

    def __init__(self, services: list[str], verifier: caller.Verifier) -> None:
        self._policies = access.policies(services)
        self._verifier = verifier
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Wraps each handler once; methods without a policy do not exist."""
        method: str = details.method
        if method.startswith(OPEN_PREFIXES):
            return await continuation(details)
        known = self._wrapped.get(method)
        if known is not None:
            return known
        handler = await continuation(details)
        if handler is None or method not in self._policies:
            return None
        self._wrapped[method] = self._wrap(method, handler)
        return self._wrapped[method]

    def _call(self, method: str, request: Message, context: Any) -> Call:
        entries = [(str(key), str(value)) for key, value in context.invocation_metadata() or ()]
        metadata = dict(entries)
        if sum(key == caller.TOKEN_KEY for key, _ in entries) > 1:
            # Two tokens are an attempt to be two people: neither counts.
            del metadata[caller.TOKEN_KEY]
        policy = self._policies[method]
        return Call(method, policy, metadata, request, context, self._verifier)

    def _wrap(self, method: str, handler: Any) -> Any:
        async def unary(request: Message, context: Any) -> Any:
            async def proceed() -> Any:
                return await handler.unary_unary(request, context)

            return await _answer(self._call(method, request, context), proceed)

        async def stream(request: Message, context: Any) -> AsyncIterator[Any]:
            async def proceed() -> Any:
                return None

            # The checks come before the first message; the stream itself has its own pace.
            await _answer(self._call(method, request, context), proceed)
            if _time_left_s(context) is None:
                # The default is for one answer; a stream may ask its peers for as long as it runs.
                deadline_s.set(None)
            try:
                async for message in handler.unary_stream(request, context):
                    yield message
            except Refusal as refusal:
                await _abort(context, refusal)
            except Exception:
                log.exception("unexpected error", extra={"method": method})
                await _abort(context, status.internal(request_id.get()))

        wrap, behaviour = (
            (grpc.unary_stream_rpc_method_handler, stream)
            if handler.response_streaming
            else (grpc.unary_unary_rpc_method_handler, unary)
        )
        return wrap(
            behaviour,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


def _time_left_s(context: grpc.aio.ServicerContext[Any, Any]) -> float | None:
    """Until the deadline; None where the caller has set none."""
    left_s = context.time_remaining()
    # grpcio says None then, the native engine some centuries.
    return left_s if left_s is not None and left_s < _DEADLINE_MAX_S else None


async def _answer(call: Call, innermost: Proceed) -> Any:
    proceed = innermost
    for layer in reversed(LAYERS):
        proceed = _around(layer, call, proceed)
    try:
        return await proceed()
    except Refusal as refusal:
        await _abort(call.context, refusal)


def _around(layer: Layer, call: Call, proceed: Proceed) -> Proceed:
    async def step() -> Any:
        return await layer(call, proceed)

    return step


async def _abort(context: grpc.aio.ServicerContext[Any, Any], refusal: Refusal) -> None:
    wire = rpc_status.to_status(status.to_status(refusal))
    await context.abort(wire.code, wire.details, wire.trailing_metadata or ())
