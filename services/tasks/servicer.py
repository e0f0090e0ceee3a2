"""The gRPC edge of the tasks service: parse, call, map."""

from __future__ import annotations

from typing import Any

from writer.tasks.v1 import runs_pb2, runs_pb2_grpc, tasks_pb2, tasks_pb2_grpc
from writer.types.v1 import types_pb2

from chassis import caller
from chassis.pages import PageQuery
from chassis.replies import Reply
from services.tasks.domain import Stage, TaskStatus
from services.tasks.mapping import (
    brief_from_proto,
    bulk_update_to_proto,
    page_to_proto,
    run_to_proto,
    task_to_proto,
)
from services.tasks.service.runs import Runs
from services.tasks.service.tasks import Tasks


class TaskServicer(tasks_pb2_grpc.TaskServiceServicer):
    """See protos/writer/tasks/v1/tasks.proto."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    async def CreateTask(
        self, request: tasks_pb2.CreateTaskRequest, context: Any
    ) -> tasks_pb2.Task:
        who = caller.current()
        reply = Reply(who, "CreateTask", request, tasks_pb2.Task, task_to_proto)
        return await self._tasks.create(who, brief_from_proto(request.task), reply)

    async def GetTask(self, request: tasks_pb2.GetTaskRequest, context: Any) -> tasks_pb2.Task:
        return task_to_proto(await self._tasks.get(caller.current(), request.id))

    async def BulkUpdateTasks(
        self, request: tasks_pb2.BulkUpdateTasksRequest, context: Any
    ) -> tasks_pb2.BulkUpdateTasksResponse:
        who = caller.current()
        reply = Reply(
            who, "BulkUpdateTasks", request, tasks_pb2.BulkUpdateTasksResponse, bulk_update_to_proto
        )
        status = TaskStatus(tasks_pb2.Task.Status.Name(request.status))
        return await self._tasks.bulk_update(who, list(request.ids), status, reply)

    async def ListTasks(
        self, request: tasks_pb2.ListTasksRequest, context: Any
    ) -> tasks_pb2.ListTasksResponse:
        filters = {"cluster_id": request.cluster_id}
        if request.status:
            filters["status"] = tasks_pb2.Task.Status.Name(request.status)
        if request.content_type:
            filters["content_type"] = types_pb2.ContentType.Value.Name(request.content_type)
        if request.content_structure:
            filters["content_structure"] = types_pb2.ContentStructure.Value.Name(
                request.content_structure
            )
        tasks, token, total = await self._tasks.page(
            caller.current(), PageQuery.of(request), filters, request.search
        )
        return page_to_proto(tasks, token, total)


class RunServicer(runs_pb2_grpc.RunServiceServicer):
    """See protos/writer/tasks/v1/runs.proto."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def GenerateContent(
        self, request: runs_pb2.GenerateContentRequest, context: Any
    ) -> runs_pb2.Run:
        who = caller.current()
        stage = request.stop_after or types_pb2.Stage.content
        reply = Reply(who, "GenerateContent", request, runs_pb2.Run, run_to_proto)
        return await self._runs.generate(
            who, list(request.ids), Stage(types_pb2.Stage.Value.Name(stage)), reply
        )

    async def GetRun(self, request: runs_pb2.GetRunRequest, context: Any) -> runs_pb2.Run:
        return run_to_proto(await self._runs.get(caller.current(), request.id))

    async def ListRuns(
        self, request: runs_pb2.ListRunsRequest, context: Any
    ) -> runs_pb2.ListRunsResponse:
        state = runs_pb2.Run.State.Name(request.state) if request.state else ""
        runs, token, total = await self._runs.page(caller.current(), PageQuery.of(request), state)
        return runs_pb2.ListRunsResponse(
            runs=[run_to_proto(run) for run in runs], next_page_token=token, total_size=total
        )
