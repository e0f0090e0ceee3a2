"""A tasks service that answers what it has prepared: what is left to measure is the gateway.

    python benchmarks/gateway_backend.py host:port

Its server is the native one (`pygrpc-native`), so that it is not the part that is waited for.
"""

import datetime
import sys

import grpc
import pygrpc_native.aio
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from writer.tasks.v1 import tasks_pb2
from writer.types.v1 import types_pb2

from chassis.ids import new_id
from chassis.times import to_timestamp

ROWS = 50
WORDS = "what readers want to know before they buy, told with examples from the last season "


def task(number):
    """A task as people write them: 1 KB."""
    moment = to_timestamp(datetime.datetime(2026, 11, 1, 12, number % 60, tzinfo=datetime.UTC))
    return tasks_pb2.Task(
        id=new_id(),
        etag="3",
        site_id=new_id(),
        sector_id=new_id(),
        sector_name="Outdoor",
        title=f"How to choose a tent for winter, part {number}",
        description=WORDS * 5,
        cluster_id=new_id(),
        cluster_name="Tents and shelters",
        content_type=types_pb2.ContentType.Value.post,
        content_structure=types_pb2.ContentStructure.Value.article,
        keywords="winter tent, four season tent, snow load, condensation",
        word_count=1200,
        status=tasks_pb2.Task.completed,
        content_id=new_id(),
        generation=tasks_pb2.GenerationSummary(id=new_id(), run_id=new_id(), state="succeeded"),
        create_time=moment,
        update_time=moment,
    )


def handlers():
    page = tasks_pb2.ListTasksResponse(
        tasks=[task(number) for number in range(ROWS)], next_page_token="x" * 80, total_size=2_000
    )
    one, many = task(0).SerializeToString(), page.SerializeToString()

    def answering(answer):
        async def unary(_request, _context):
            return answer

        return grpc.unary_unary_rpc_method_handler(unary)

    return {"GetTask": answering(one), "CreateTask": answering(one), "ListTasks": answering(many)}


async def serve(address):
    server = pygrpc_native.aio.server()
    server.add_registered_method_handlers("writer.tasks.v1.TaskService", handlers())
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
