"""The gRPC edge of sessions."""

from __future__ import annotations

from typing import Any

from google.protobuf.empty_pb2 import Empty
from writer.identity.v1 import identity_pb2, sessions_pb2, sessions_pb2_grpc

from chassis import caller
from gateway.identity import mapping
from gateway.identity.service.sessions import Sessions


class SessionServicer(sessions_pb2_grpc.SessionServiceServicer):
    """What happens to a session between login and its end."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def RefreshSession(
        self, request: sessions_pb2.RefreshSessionRequest, context: Any
    ) -> identity_pb2.Session:
        session = await self._sessions.refresh(request.refresh_token, caller.current())
        return mapping.session_to_proto(session)

    async def Logout(self, request: sessions_pb2.LogoutRequest, context: Any) -> Empty:
        await self._sessions.logout(caller.current(), everywhere=request.everywhere)
        return Empty()

    async def ChangePassword(
        self, request: sessions_pb2.ChangePasswordRequest, context: Any
    ) -> Empty:
        await self._sessions.change_password(
            request.current_password, request.new_password, caller.current()
        )
        return Empty()
