"""Servicers that do what an id says: for tests of everything around a servicer."""

# ruff: noqa: N802, ARG002  gRPC gives the methods their names and a context
import asyncio

from writer.images.v1 import images_pb2, images_pb2_grpc
from writer.tasks.v1 import runs_pb2, runs_pb2_grpc, tasks_pb2, tasks_pb2_grpc

from chassis import caller, interceptors
from chassis.errors import InvalidFields, Kind, NotFound, Refusal, Violation

SERVED = (tasks_pb2, runs_pb2, images_pb2)
WHOLE_TASK = {
    "title": "A title",
    "cluster_id": "0196f3a0-0000-7000-8000-000000000000",
    "content_type": 1,
    "content_structure": 1,
}


class Tasks(tasks_pb2_grpc.TaskServiceServicer):
    """Does what the id of a task says."""

    def __init__(self):
        self.callers = []
        self.ended = asyncio.Event()
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.deadlines = []

    async def GetTask(self, request, context):
        self.callers.append(caller.current())
        self.deadlines.append(interceptors.deadline_s.get())
        match request.id:
            case "bug":
                raise LookupError("password=hunter2")
            case "timeout":
                raise TimeoutError("password=hunter2")
            case "refused":
                raise Refusal(
                    Kind.FAILED_PRECONDITION,
                    "INSUFFICIENT_CREDITS",
                    "Zu wenig Guthaben: 3 €.",
                    metadata={"required": "5", "available": "3"},
                    violations=(Violation("ids[2]", "kostet zu viel"),),
                )
            case "odd":
                raise Refusal(Kind.NOT_FOUND, "NOT_FOUND", "\ud800", metadata={"n": 5})
            case "endless":
                raise NotFound("task", *(f"{n:064}" for n in range(1000)))
            case "slow":
                self.started.set()
                try:
                    await self.go_on.wait()
                finally:
                    self.ended.set()
        return tasks_pb2.Task(id=request.id)

    async def CreateTask(self, request, context):
        return request.task

    async def ListTasks(self, request, context):
        raise InvalidFields(Violation("order_by", "must be one of title"))


class Runs(runs_pb2_grpc.RunServiceServicer):
    async def GenerateContent(self, request, context):
        return runs_pb2.Run(id="run")

    async def GetRun(self, request, context):
        return runs_pb2.Run(id=request.id)


class Images(images_pb2_grpc.ImageServiceServicer):
    async def GetImageFile(self, request, context):
        yield images_pb2.ImageFileChunk(data=caller.current().principal.encode())
        yield images_pb2.ImageFileChunk(data=str(interceptors.deadline_s.get()).encode())
        if request.id == "bug":
            raise LookupError("password=hunter2")
        if request.id == "gone":
            raise NotFound("image", request.id)


def servicers(tasks):
    """All of them, with what adds each to a server."""
    return [
        (tasks_pb2_grpc.add_TaskServiceServicer_to_server, tasks),
        (runs_pb2_grpc.add_RunServiceServicer_to_server, Runs()),
        (images_pb2_grpc.add_ImageServiceServicer_to_server, Images()),
    ]
