"""Servers that start loudly and stop gently, and peers that say what failed."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support import scripted
from support.serving import peer, serve, service, trusted_keys, user
from writer.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from chassis.caller import Verifier
from chassis.errors import Kind, Refusal
from chassis.server import Server

WITHIN_S = 5.0
GET = tasks_pb2.GetTaskRequest


def server(address, tasks, **options):
    servicers = [(tasks_pb2_grpc.add_TaskServiceServicer_to_server, tasks)]
    return Server(address, servicers, Verifier(trusted_keys(), audience="tasks"), **options)


async def health(channel, name=""):
    request = health_pb2.HealthCheckRequest(service=name)
    answer = await health_pb2_grpc.HealthStub(channel).Check(request)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def until_refused(client, stub):
    while True:
        try:
            await client.call(stub.GetTask, GET(id="new"), user(), timeout_s=2)
        except Refusal as refusal:
            return refusal


class TestStarting:
    async def test_a_taken_port_fails_loudly(self, served, tasks):
        with pytest.raises(RuntimeError, match="bind"):
            server(served.address, tasks)

    async def test_processes_may_share_a_port_when_they_are_told_to(self, tasks):
        first = server("127.0.0.1:0", tasks, reuse_port=True)
        second = server(f"127.0.0.1:{first.port}", tasks, reuse_port=True)
        assert second.port == first.port
        await first.stop()
        await second.stop()

    async def test_health_tells_started_from_ready(self, tasks):
        starting = server("127.0.0.1:0", tasks)
        await starting.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{starting.port}") as channel:
            assert await health(channel) == "NOT_SERVING"
            await starting.ready()
            assert await health(channel) == "SERVING"
            assert await health(channel, "writer.tasks.v1.TaskService") == "SERVING"
            await starting.unready()
            assert await health(channel) == "NOT_SERVING"
            assert await health(channel, "writer.tasks.v1.TaskService") == "NOT_SERVING"
        await starting.stop()

    def test_something_that_is_no_servicer_is_refused(self):
        with pytest.raises(TypeError, match="not a generated servicer"):
            Server("127.0.0.1:0", [(lambda *_: None, object())], Verifier({}, "tasks"))


class TestStopping:
    async def test_a_running_call_ends_well(self, tasks):
        stopping = server("127.0.0.1:0", tasks)
        await stopping.start()
        async with peer("tasks", f"127.0.0.1:{stopping.port}") as client:
            stub = client.stub(tasks_pb2_grpc.TaskServiceStub)
            running = asyncio.create_task(client.call(stub.GetTask, GET(id="slow"), user()))
            await asyncio.wait_for(tasks.started.wait(), WITHIN_S)
            stop = asyncio.create_task(stopping.stop())
            # Until the stop has got through; then nothing new is taken.
            refused = await asyncio.wait_for(until_refused(client, stub), WITHIN_S)
            assert refused.kind is Kind.UNAVAILABLE
            tasks.go_on.set()
            assert (await asyncio.wait_for(running, WITHIN_S)).id == "slow"
            await asyncio.wait_for(stop, WITHIN_S)

    async def test_a_call_that_does_not_end_is_ended(self, tasks, monkeypatch):
        from chassis import server as module

        monkeypatch.setattr(module, "DRAIN_S", 0.1)
        stopping = server("127.0.0.1:0", tasks)
        await stopping.start()
        async with peer("tasks", f"127.0.0.1:{stopping.port}") as client:
            stub = client.stub(tasks_pb2_grpc.TaskServiceStub)
            running = asyncio.create_task(client.call(stub.GetTask, GET(id="slow"), user()))
            await asyncio.wait_for(tasks.started.wait(), WITHIN_S)
            await asyncio.wait_for(stopping.stop(), WITHIN_S)
            await asyncio.wait_for(tasks.ended.wait(), WITHIN_S)
            with pytest.raises(Refusal) as caught:
                await running
            assert caught.value.kind is Kind.UNAVAILABLE


class TestPeers:
    async def test_a_peer_that_is_not_there_is_unavailable(self, unused_tcp_port):
        async with peer("tasks", f"127.0.0.1:{unused_tcp_port}") as client:
            stub = client.stub(tasks_pb2_grpc.TaskServiceStub)
            with pytest.raises(Refusal) as caught:
                await asyncio.wait_for(client.call(stub.GetTask, GET(id="a"), user()), WITHIN_S)
        assert (caught.value.kind, caught.value.reason) == (Kind.UNAVAILABLE, "UNAVAILABLE")

    async def test_a_peer_that_comes_back_is_found_again(self, tasks):
        first = server("127.0.0.1:0", tasks)
        await first.start()
        address = f"127.0.0.1:{first.port}"
        async with peer("tasks", address) as client:
            stub = client.stub(tasks_pb2_grpc.TaskServiceStub)
            assert (await client.call(stub.GetTask, GET(id="a"), user())).id == "a"
            await first.stop()
            second = server(address, tasks)
            await second.start()
            # The client's own repetitions bridge the gap.
            assert (await client.call(stub.GetTask, GET(id="b"), user())).id == "b"
            await second.stop()

    async def test_a_peer_of_another_name_does_not_believe_us(self, served):
        async with peer("billing", served.address) as client:
            stub = client.stub(tasks_pb2_grpc.TaskServiceStub)
            with pytest.raises(Refusal) as caught:
                await client.call(stub.GetTask, GET(id="a"), user())
        assert caught.value.kind is Kind.UNAUTHENTICATED

    async def test_nobody_calls_in_the_name_of_another(self, served):
        client = served.peer("content")
        stub = client.stub(tasks_pb2_grpc.TaskServiceStub)
        with pytest.raises(ValueError, match="cannot vouch"):
            await client.call(stub.GetTask, GET(id="a"), user())
        with pytest.raises(ValueError, match="cannot vouch"):
            await client.call(stub.GetTask, GET(id="a"), service("images"))

    async def test_a_message_above_the_bound_is_refused_by_the_side_that_knows(self, call):
        whole = tasks_pb2.Task(**scripted.WHOLE_TASK, description="x" * (17 * 1024 * 1024))
        with pytest.raises(Refusal) as caught:
            await call("CreateTask", tasks_pb2.CreateTaskRequest(task=whole))
        # Of no use to whoever asks: between services it is a fault of ours.
        assert caught.value.kind is Kind.INTERNAL

    async def test_request_and_trace_travel_beside_the_caller(self, call, tasks):
        who = user(request_id="r-7", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
        await call("GetTask", GET(id="a"), who)
        assert tasks.callers == [who]

    async def test_many_calls_at_once_each_see_their_own_caller(self, tasks):
        async with serve(scripted.servicers(tasks), "tasks") as served:
            client = served.peer()
            stub = client.stub(tasks_pb2_grpc.TaskServiceStub)
            callers = [user(f"account-{n}", request_id=f"r-{n}") for n in range(50)]
            await asyncio.gather(
                *(client.call(stub.GetTask, GET(id=who.account_id), who) for who in callers)
            )
        assert sorted(tasks.callers, key=str) == sorted(callers, key=str)
