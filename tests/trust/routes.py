"""Routes of the gateway that no RPC declares: event streams, and what everybody may have."""

from __future__ import annotations

from trust.contract import Method, methods

BESIDE = {
    "/api/v1/events": "read",
    "/api/v1/writer/runs/{id}/watch": "read",
    "/api/v1/writer/images/{id}/file": "public",
    "/healthz": "public",
    "/readyz": "public",
    "/.well-known/jwks.json": "public",
}
"""Who may ask, by path."""


def _stream(template: str) -> Method:
    """A stream as a method without a request of its own, but with the id in its path."""
    run = next(each for each in methods() if each.name == "GetRun")
    return Method(
        service="gateway",
        name=template,
        policy=run.policy,
        verb="GET",
        template=template,
        body="",
        request=run.request,
        response=run.response,
        is_stream=True,
        slots=run.slots if "{" in template else (),
    )


STREAMS = [_stream(template) for template, level in BESIDE.items() if level != "public"]
