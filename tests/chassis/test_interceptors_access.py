"""Who gets through to a servicer, seen from the other end of a real connection."""

import grpc
import pytest
from google.protobuf import message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.scripted import SERVED, WHOLE_TASK
from support.serving import anonymous, error_info, service, signer, user
from writer.tasks.v1 import tasks_pb2

from chassis import caller
from chassis.errors import Kind

WITHIN_S = 5.0


def methods():
    for module in SERVED:
        for name, service_of in module.DESCRIPTOR.services_by_name.items():
            for method in service_of.methods:
                yield f"/{module.DESCRIPTOR.package}.{name}/{method.name}", method


async def fail(channel, path, method, metadata):
    """The error of a raw call with an empty request."""
    request = message_factory.GetMessageClass(method.input_type)()
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = make(path, request_serializer=type(request).SerializeToString)(
        request, metadata=metadata, timeout=WITHIN_S
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (call.read() if method.server_streaming else call)
    return caught.value


class TestAuthentication:
    @pytest.mark.parametrize("path", [path for path, _ in methods()])
    async def test_no_method_answers_without_one_good_token(self, channel, path):
        method = dict(methods())[path]
        good = signer().mint(user(), "tasks")
        for tokens in (
            [],
            [""],
            ["rubbish"],
            [good, good],
            [good + "x"],
            [signer().mint(user(), "billing")],
        ):
            error = await fail(channel, path, method, [(caller.TOKEN_KEY, t) for t in tokens])
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED, tokens
            assert error_info(error).reason == "UNAUTHENTICATED"
            assert error_info(error).domain == "writer"

    async def test_health_is_open(self, channel):
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "writer.tasks.v1.TaskService", "writer.images.v1.ImageService"):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    async def test_reflection_is_open_and_names_every_service(self, channel):
        from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(request)
        answer = await call.read()
        await call.done_writing()
        names = {each.name for each in answer.list_services_response.service}
        assert {"writer.tasks.v1.TaskService", "writer.tasks.v1.RunService"} <= names

    async def test_an_unknown_method_is_unimplemented(self, channel):
        for path in ("/writer.tasks.v1.TaskService/DropTasks", "/writer.other.v1.Other/Get", "/x"):
            token = [(caller.TOKEN_KEY, signer().mint(user(), "tasks"))]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(path)(b"", metadata=token, timeout=WITHIN_S)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    async def test_the_servicer_sees_who_calls_and_under_which_request(self, call, tasks):
        who = user("acme", "editor", site_id="s", allowed_sites=("s",), request_id="r-1")
        await call("GetTask", tasks_pb2.GetTaskRequest(id="a"), who)
        assert tasks.callers == [who]

    async def test_a_call_without_a_request_id_is_given_one(self, call, tasks):
        await call("GetTask", tasks_pb2.GetTaskRequest(id="a"))
        assert len(tasks.callers[0].request_id) == 36


class TestPolicy:
    @pytest.mark.parametrize(
        ("method", "allowed"),
        [
            ("GetTask", {"viewer", "editor", "admin", "owner", "developer", "system_bot"}),
            ("CreateTask", {"editor", "admin", "owner", "developer", "system_bot"}),
        ],
    )
    async def test_a_role_may_do_what_the_contract_says(self, call, refused, method, allowed):
        request = {
            "GetTask": tasks_pb2.GetTaskRequest(id="a"),
            "CreateTask": tasks_pb2.CreateTaskRequest(task=tasks_pb2.Task(**WHOLE_TASK)),
        }[method]
        for role in ("viewer", "editor", "admin", "owner", "developer", "system_bot"):
            who = user(role=role, site_id="site", sector_id="sector")
            if role in allowed:
                await call(method, request, who)
            else:
                refusal = await refused(method, request, who)
                assert (refusal.kind, refusal.reason) == (
                    Kind.PERMISSION_DENIED,
                    "ROLE_FORBIDDEN",
                )

    async def test_a_role_that_nobody_knows_may_do_nothing(self, refused):
        for role in ("", "root", "Owner"):
            refusal = await refused("GetTask", tasks_pb2.GetTaskRequest(id="a"), user(role=role))
            assert refusal.reason == "ROLE_FORBIDDEN"

    async def test_somebody_without_credentials_is_asked_for_them(self, refused):
        refusal = await refused("GetTask", tasks_pb2.GetTaskRequest(id="a"), anonymous())
        assert refusal.kind is Kind.UNAUTHENTICATED

    async def test_a_service_may_call_what_names_it(self, call, refused):
        request = tasks_pb2.GetTaskRequest(id="a")
        assert (await call("GetTask", request, service("content"))).id == "a"
        for name in ("billing", "tasks"):
            assert (await refused("GetTask", request, service(name))).reason == "ROLE_FORBIDDEN"

    async def test_a_create_needs_a_site_and_a_sector(self, refused):
        request = tasks_pb2.CreateTaskRequest(task=tasks_pb2.Task(**WHOLE_TASK))
        for who in (user(), user(site_id="site"), user(sector_id="sector")):
            assert (await refused("CreateTask", request, who)).reason == "SITE_FORBIDDEN"
