"""The routes of the offline model. Any bearer key opens /v1; /healthz and /offline need none."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from standalone.offline_model.chat import chat_job
from standalone.offline_model.exchange import JobRoute
from standalone.offline_model.faults import FaultBook
from standalone.offline_model.journal import Journal
from standalone.offline_model.pictures import PictureDesk
from standalone.offline_model.wire import MODEL, ApiError

MODEL_CREATED_S = 1_735_689_600  # a fixed day, so that the list is the same every time


def create_app() -> Starlette:
    """One offline model with its own journal and its own memory of faults."""
    journal, faults = Journal(), FaultBook()

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            journal.clear()
            return Response(status_code=204)
        return JSONResponse(journal.listed())

    api = [
        Route("/models", _models, methods=["GET"]),
        Route("/chat/completions", JobRoute(chat_job, journal, faults), methods=["POST"]),
        Route(
            "/images/generations",
            JobRoute(PictureDesk().understand, journal, faults),
            methods=["POST"],
        ),
    ]
    return Starlette(
        routes=[
            Mount("/v1", routes=api, middleware=[Middleware(_KeyRequired)]),
            Route("/healthz", _healthz, methods=["GET"]),
            Route("/offline/requests", requests, methods=["GET", "DELETE"]),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _unexpected_error},
    )


class _KeyRequired:
    """Asks for some bearer key, and does not care which."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = next((v for k, v in scope["headers"] if k == b"authorization"), b"").decode(
            "latin-1"
        )
        scheme, _, key = header.partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            await self._app(scope, receive, send)
            return
        refused = ApiError(401, "You didn't provide an API key.", code="invalid_api_key")
        await JSONResponse(refused.body, 401)(scope, receive, send)


async def _models(_request: Request) -> Response:
    model = {"id": MODEL, "object": "model", "created": MODEL_CREATED_S, "owned_by": "offline"}
    return JSONResponse({"object": "list", "data": [model]})


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    refused = ApiError(status, f"Cannot {request.method} {request.url.path}.", code="unknown_url")
    return JSONResponse(refused.body, status)


async def _unexpected_error(_request: Request, _error: Exception) -> Response:
    refused = ApiError(500, "The offline model has failed.", kind="server_error")
    return JSONResponse(refused.body, 500)
