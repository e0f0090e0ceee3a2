"""The gRPC edge of users and invitations."""

from __future__ import annotations

from typing import Any

from writer.identity.v1 import (
    identity_pb2,
    invitations_pb2,
    invitations_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
)

from chassis import caller
from chassis.pages import PageQuery
from chassis.replies import Reply
from gateway.identity import mapping
from gateway.identity.service.invitations import Invitations
from gateway.identity.service.users import Users


class UserServicer(users_pb2_grpc.UserServiceServicer):
    """The people of an account."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def GetUser(self, request: users_pb2.GetUserRequest, context: Any) -> identity_pb2.User:
        return mapping.user_to_proto(await self._users.get_user(request.id, caller.current()))

    async def ListUsers(
        self, request: users_pb2.ListUsersRequest, context: Any
    ) -> users_pb2.ListUsersResponse:
        users, token, total = await self._users.list_users(
            caller.current(),
            PageQuery.of(request),
            role=mapping.role_from_proto(request.role),
            search=request.search,
            active=request.active if request.HasField("active") else None,
        )
        return users_pb2.ListUsersResponse(
            users=[mapping.user_to_proto(user) for user in users],
            next_page_token=token,
            total_size=total,
        )

    async def UpdateUser(
        self, request: users_pb2.UpdateUserRequest, context: Any
    ) -> identity_pb2.User:
        changes = mapping.changes(request, "name", "role", needed=("role",))
        if "role" in changes:
            changes["role"] = mapping.role_from_proto(changes["role"])
        user = await self._users.update_user(request.id, changes, request.etag, caller.current())
        return mapping.user_to_proto(user)

    async def UpdateMe(self, request: users_pb2.UpdateMeRequest, context: Any) -> identity_pb2.User:
        changes = mapping.changes(request, "name", "active_site_id")
        user = await self._users.update_me(changes, request.etag, caller.current())
        return mapping.user_to_proto(user)

    async def DeactivateUser(
        self, request: users_pb2.DeactivateUserRequest, context: Any
    ) -> identity_pb2.User:
        user = await self._users.deactivate_user(request.id, caller.current())
        return mapping.user_to_proto(user)

    async def ReactivateUser(
        self, request: users_pb2.ReactivateUserRequest, context: Any
    ) -> identity_pb2.User:
        user = await self._users.reactivate_user(request.id, caller.current())
        return mapping.user_to_proto(user)

    async def AddSiteAccess(
        self, request: users_pb2.AddSiteAccessRequest, context: Any
    ) -> identity_pb2.User:
        user = await self._users.add_site_access(request.id, request.site_id, caller.current())
        return mapping.user_to_proto(user)

    async def RemoveSiteAccess(
        self, request: users_pb2.RemoveSiteAccessRequest, context: Any
    ) -> identity_pb2.User:
        user = await self._users.remove_site_access(request.id, request.site_id, caller.current())
        return mapping.user_to_proto(user)


class InvitationServicer(invitations_pb2_grpc.InvitationServiceServicer):
    """How people join an account."""

    def __init__(self, invitations: Invitations) -> None:
        self._invitations = invitations

    async def CreateInvitation(
        self, request: invitations_pb2.CreateInvitationRequest, context: Any
    ) -> invitations_pb2.Invitation:
        who = caller.current()
        reply = Reply(
            who,
            "CreateInvitation",
            request,
            invitations_pb2.Invitation,
            mapping.invitation_to_proto,
        )
        asked = mapping.invitation_request_from_proto(request.invitation)
        answer, token = await self._invitations.create_invitation(asked, who, reply)
        answer.token = token
        return answer

    async def ListInvitations(
        self, request: invitations_pb2.ListInvitationsRequest, context: Any
    ) -> invitations_pb2.ListInvitationsResponse:
        invitations, token, total = await self._invitations.list_invitations(
            caller.current(), PageQuery.of(request)
        )
        return invitations_pb2.ListInvitationsResponse(
            invitations=[mapping.invitation_to_proto(each) for each in invitations],
            next_page_token=token,
            total_size=total,
        )

    async def RevokeInvitation(
        self, request: invitations_pb2.RevokeInvitationRequest, context: Any
    ) -> invitations_pb2.Invitation:
        invitation = await self._invitations.revoke_invitation(request.id, caller.current())
        return mapping.invitation_to_proto(invitation)

    async def AcceptInvitation(
        self, request: invitations_pb2.AcceptInvitationRequest, context: Any
    ) -> identity_pb2.Session:
        session = await self._invitations.accept_invitation(
            request.token, request.password, request.name, caller.current()
        )
        return mapping.session_to_proto(session)
