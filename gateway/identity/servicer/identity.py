"""The gRPC edge of registering, logging in and API keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from writer.identity.v1 import identity_pb2, identity_pb2_grpc, rotation_pb2

from chassis import caller
from chassis.pages import PageQuery
from chassis.replies import Reply
from gateway.identity import mapping
from gateway.identity.service.keys import Keys
from gateway.identity.service.registration import Registrations
from gateway.identity.service.sessions import Sessions


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """Accounts, users and their credentials."""

    def __init__(self, registrations: Registrations, sessions: Sessions, keys: Keys) -> None:
        self._registrations = registrations
        self._sessions = sessions
        self._keys = keys

    async def Register(
        self, request: identity_pb2.RegisterRequest, context: Any
    ) -> identity_pb2.Session:
        asked = mapping.registration_from_proto(request)
        reply = Reply(
            # Strangers have no name yet: the address stands for it, so that their keys never meet.
            replace(caller.current(), principal=mapping.stranger(asked.email)),
            "Register",
            mapping.without_password(request),
            identity_pb2.Session,
            mapping.registered_to_proto,
        )
        return mapping.session_to_proto(
            await self._registrations.register(asked, caller.current(), reply)
        )

    async def Login(self, request: identity_pb2.LoginRequest, context: Any) -> identity_pb2.Session:
        session = await self._sessions.login(request.email, request.password, caller.current())
        return mapping.session_to_proto(session)

    async def GetMe(self, request: identity_pb2.GetMeRequest, context: Any) -> identity_pb2.Me:
        return mapping.me_to_proto(await self._sessions.get_me(caller.current()))

    async def CreateApiKey(
        self, request: identity_pb2.CreateApiKeyRequest, context: Any
    ) -> identity_pb2.ApiKey:
        who = caller.current()
        reply = Reply(who, "CreateApiKey", request, identity_pb2.ApiKey, mapping.api_key_to_proto)
        asked = mapping.key_request_from_proto(request.api_key)
        answer, key = await self._keys.create_api_key(asked, who, reply)
        answer.key = key
        return answer

    async def ListApiKeys(
        self, request: identity_pb2.ListApiKeysRequest, context: Any
    ) -> identity_pb2.ListApiKeysResponse:
        keys, token, total = await self._keys.list_api_keys(caller.current(), PageQuery.of(request))
        return identity_pb2.ListApiKeysResponse(
            api_keys=[mapping.api_key_to_proto(key) for key in keys],
            next_page_token=token,
            total_size=total,
        )

    async def RotateApiKey(
        self, request: rotation_pb2.RotateApiKeyRequest, context: Any
    ) -> identity_pb2.ApiKey:
        who = caller.current()
        reply = Reply(who, "RotateApiKey", request, identity_pb2.ApiKey, mapping.api_key_to_proto)
        overlap = timedelta(seconds=request.overlap_s)
        answer, key = await self._keys.rotate_api_key(request.id, overlap, who, reply)
        answer.key = key
        return answer

    async def RevokeApiKey(
        self, request: identity_pb2.RevokeApiKeyRequest, context: Any
    ) -> identity_pb2.ApiKey:
        key = await self._keys.revoke_api_key(request.id, caller.current())
        return mapping.api_key_to_proto(key)
