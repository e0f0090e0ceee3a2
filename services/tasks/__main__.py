"""Wiring of the tasks service: `python -m services.tasks`."""

from __future__ import annotations

from writer.tasks.v1 import runs_pb2_grpc, tasks_pb2_grpc

from chassis.process import Host, Parts, run
from services.tasks.consumers import subscriptions
from services.tasks.peers import Billing, Classification
from services.tasks.service.dispatch import IN_FLIGHT_MAX, Dispatcher
from services.tasks.service.progress import Progress
from services.tasks.service.runs import Runs
from services.tasks.service.tasks import Tasks
from services.tasks.servicer import RunServicer, TaskServicer


def wire(host: Host) -> Parts:
    """Puts the service together."""
    tasks = Tasks(host.database, Classification(host.peer("content")))
    runs = Runs(host.database, host.outbox, Billing(host.peer("billing")))
    in_flight_max = int(host.settings.extra("WRITER_IN_FLIGHT_MAX", str(IN_FLIGHT_MAX)))
    dispatcher = Dispatcher(host.database, host.outbox, in_flight_max)
    return Parts(
        servicers=[
            (tasks_pb2_grpc.add_TaskServiceServicer_to_server, TaskServicer(tasks)),
            (runs_pb2_grpc.add_RunServiceServicer_to_server, RunServicer(runs)),
        ],
        subscriptions=subscriptions(Progress(host.database, host.outbox)),
        loops=[dispatcher.run],
    )


def main() -> None:
    """Runs the process until it is told to stop."""
    run("tasks", wire)


if __name__ == "__main__":
    main()
