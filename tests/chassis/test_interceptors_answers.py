"""What comes back from a call, and when it ends, seen from the other end of a real connection."""

import asyncio
import contextlib

import grpc
import pytest
from support.scripted import WHOLE_TASK
from support.serving import anonymous, error_info, service, user
from writer.images.v1 import images_pb2, images_pb2_grpc
from writer.tasks.v1 import runs_pb2, tasks_pb2

from chassis import clock, interceptors
from chassis.errors import Kind, Violation

WITHIN_S = 5.0


class TestErrors:
    @pytest.mark.parametrize("name", ["bug", "timeout"])
    async def test_what_nobody_expected_tells_the_request_id_and_nothing_else(
        self, refused, caplog, name
    ):
        refusal = await refused(
            "GetTask", tasks_pb2.GetTaskRequest(id=name), user(request_id="r-42")
        )
        assert (refusal.kind, refusal.reason) == (Kind.INTERNAL, "INTERNAL")
        assert refusal.metadata == {"request_id": "r-42"}
        assert "hunter2" not in refusal.message
        assert "hunter2" in caplog.text

    async def test_a_refusal_arrives_as_it_was_raised(self, refused):
        refusal = await refused("GetTask", tasks_pb2.GetTaskRequest(id="refused"))
        assert refusal.kind is Kind.FAILED_PRECONDITION
        assert refusal.reason == "INSUFFICIENT_CREDITS"
        assert refusal.message == "Zu wenig Guthaben: 3 €."
        assert refusal.metadata == {"required": "5", "available": "3"}
        assert refusal.violations == (Violation("ids[2]", "kostet zu viel"),)

    async def test_a_refusal_with_odd_texts_arrives_nevertheless(self, refused):
        refusal = await refused("GetTask", tasks_pb2.GetTaskRequest(id="odd"))
        assert (refusal.kind, refusal.metadata) == (Kind.NOT_FOUND, {"n": "5"})

    async def test_a_refusal_that_names_a_thousand_ids_arrives_cut(self, refused):
        refusal = await refused("GetTask", tasks_pb2.GetTaskRequest(id="endless"))
        assert refusal.kind is Kind.NOT_FOUND
        assert refusal.metadata["ids"].startswith("0" * 64)


class TestFields:
    @pytest.mark.parametrize(
        ("method", "request_", "expected"),
        [
            ("GetTask", tasks_pb2.GetTaskRequest(), {"id"}),
            ("ListTasks", tasks_pb2.ListTasksRequest(page_size=-1, skip=-1), {"page_size", "skip"}),
            ("CreateTask", tasks_pb2.CreateTaskRequest(), {"task"}),
            (
                "CreateTask",
                tasks_pb2.CreateTaskRequest(task=tasks_pb2.Task(**WHOLE_TASK | {"title": " "})),
                {"task.title"},
            ),
            ("GenerateContent", runs_pb2.GenerateContentRequest(), {"ids"}),
            (
                "GenerateContent",
                runs_pb2.GenerateContentRequest(ids=["a", "b", "c", "", "d"]),
                {"ids[3]"},
            ),
            ("ListTasks", tasks_pb2.ListTasksRequest(), {"order_by"}),
        ],
    )
    async def test_a_field_at_fault_is_named_as_in_the_contract(
        self, refused, method, request_, expected
    ):
        refusal = await refused(method, request_)
        assert (refusal.kind, refusal.reason) == (Kind.INVALID_ARGUMENT, "INVALID_FIELDS")
        assert {violation.field for violation in refusal.violations} == expected
        assert all(violation.description for violation in refusal.violations)

    async def test_too_many_items_have_a_reason_of_their_own(self, refused):
        request = runs_pb2.GenerateContentRequest(ids=[str(n) for n in range(11)])
        refusal = await refused("GenerateContent", request)
        assert refusal.reason == "TOO_MANY_ITEMS"
        assert {violation.field for violation in refusal.violations} == {"ids"}

    async def test_thousands_of_bad_items_make_an_error_that_arrives(self, refused):
        request = runs_pb2.GenerateContentRequest(ids=[""] * 5000)
        refusal = await refused("GenerateContent", request)
        assert refusal.reason == "TOO_MANY_ITEMS"
        assert 0 < len(refusal.violations) <= 25

    @pytest.mark.parametrize(
        ("method", "request_", "field"),
        [
            ("GetTask", tasks_pb2.GetTaskRequest(id="a\0b"), "id"),
            ("GenerateContent", runs_pb2.GenerateContentRequest(ids=["a", "\0"]), "ids[1]"),
            (
                "CreateTask",
                tasks_pb2.CreateTaskRequest(
                    task=tasks_pb2.Task(**WHOLE_TASK, description="nul\0"), request_id="r"
                ),
                "task.description",
            ),
        ],
    )
    async def test_nul_is_refused_in_every_text(self, refused, method, request_, field):
        refusal = await refused(method, request_)
        assert [violation.field for violation in refusal.violations] == [field]

    async def test_rules_are_not_told_to_strangers(self, refused):
        refusal = await refused("GetTask", tasks_pb2.GetTaskRequest(), anonymous())
        assert refusal.kind is Kind.UNAUTHENTICATED


class TestDeadlines:
    async def test_a_deadline_travels_and_leaves_time_to_answer(self, call, tasks):
        token = interceptors.deadline_s.set(clock.elapsed_s() + 15.0)
        try:
            await call("GetTask", tasks_pb2.GetTaskRequest(id="a"), timeout_s=30)
        finally:
            interceptors.deadline_s.reset(token)
        left_s = tasks.deadlines[0] - clock.elapsed_s()
        assert 5 < left_s < 15.1

    async def test_without_a_running_deadline_the_own_one_counts(self, call, tasks):
        await call("GetTask", tasks_pb2.GetTaskRequest(id="a"), timeout_s=20)
        assert 10 < tasks.deadlines[0] - clock.elapsed_s() < 20.5

    async def test_work_ends_when_the_caller_has_stopped_waiting(self, refused, tasks):
        refusal = await refused("GetTask", tasks_pb2.GetTaskRequest(id="slow"), timeout_s=0.1)
        assert refusal.kind is Kind.DEADLINE_EXCEEDED
        await asyncio.wait_for(tasks.ended.wait(), WITHIN_S)

    async def test_a_call_without_time_is_not_begun(self, refused, tasks):
        refusal = await refused("GetTask", tasks_pb2.GetTaskRequest(id="a"), timeout_s=0.001)
        assert refusal.kind is Kind.DEADLINE_EXCEEDED
        assert tasks.callers == []

    async def test_a_client_that_goes_away_ends_the_work(self, call, tasks):
        running = asyncio.create_task(call("GetTask", tasks_pb2.GetTaskRequest(id="slow")))
        await asyncio.wait_for(tasks.started.wait(), WITHIN_S)
        running.cancel()
        await asyncio.wait_for(tasks.ended.wait(), WITHIN_S)
        with contextlib.suppress(asyncio.CancelledError):
            await running


class TestStreams:
    async def read(self, served, name, who, issuer="gateway", timeout_s=None):
        peer = served.peer(issuer)
        call = peer.stub(images_pb2_grpc.ImageServiceStub).GetImageFile(
            images_pb2.GetImageFileRequest(id=name), metadata=peer.metadata(who), timeout=timeout_s
        )
        found = []
        try:
            while (chunk := await call.read()) is not grpc.aio.EOF:
                found.append(chunk.data)
        except grpc.aio.AioRpcError as error:
            return found, error
        return found, None

    async def test_a_stream_knows_its_caller(self, served):
        found, error = await self.read(served, "a", anonymous())
        assert error is None
        assert found[0] == b"anonymous"

    async def test_a_stream_is_checked_before_its_first_message(self, served):
        for name, who, issuer, code in [
            ("", anonymous(), "gateway", grpc.StatusCode.INVALID_ARGUMENT),
            ("a\0", anonymous(), "gateway", grpc.StatusCode.INVALID_ARGUMENT),
            ("a", service("billing"), "billing", grpc.StatusCode.PERMISSION_DENIED),
        ]:
            found, error = await self.read(served, name, who, issuer)
            assert (found, error.code()) == ([], code)
            assert error_info(error).domain == "writer"

    async def test_an_error_in_the_middle_of_a_stream_is_told_as_any_other(self, served, caplog):
        found, error = await self.read(served, "bug", anonymous())
        assert len(found) == 2
        assert error_info(error).reason == "INTERNAL"
        assert "hunter2" not in str(error)
        assert "hunter2" in caplog.text
        _, error = await self.read(served, "gone", anonymous())
        assert error_info(error).reason == "NOT_FOUND"

    async def test_a_stream_without_a_deadline_may_ask_others_for_as_long_as_it_runs(self, served):
        found, _ = await self.read(served, "a", anonymous())
        assert found[1] == b"None"
        found, _ = await self.read(served, "a", anonymous(), timeout_s=9)
        assert 5 < float(found[1]) - clock.elapsed_s() < 10
