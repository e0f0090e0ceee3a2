"""The tasks service on a real gRPC server, beside the real billing and content services."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from support.wiring import Keys, served
from writer.billing.v1 import (
    credits_pb2,
    credits_pb2_grpc,
    reservations_pb2,
    reservations_pb2_grpc,
)
from writer.content.v1 import clusters_pb2, clusters_pb2_grpc
from writer.events.v1 import content_pb2, generation_pb2
from writer.events.v1 import credits_pb2 as credit_events
from writer.tasks.v1 import runs_pb2, runs_pb2_grpc, tasks_pb2, tasks_pb2_grpc
from writer.types.v1 import types_pb2

from chassis.caller import Caller, Signer
from chassis.client import Peer
from chassis.consumers import Delivery
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.outbox import Outbox
from chassis.process import Host
from services.billing.__main__ import wire as wire_billing
from services.content.__main__ import wire as wire_content
from services.tasks.__main__ import wire as wire_tasks
from services.tasks.schema import metadata
from services.tasks.service.dispatch import Dispatcher
from services.tasks.service.progress import Progress

NAMES = ("gateway", "tasks", "content", "images", "billing")
EVENTS = {
    f"writer.events.v1.{name}": getattr(module, name)
    for module in (content_pb2, generation_pb2, credit_events)
    for name in module.DESCRIPTOR.message_types_by_name
}


@dataclass
class World:
    """One account and its way to the services."""

    tasks: Peer
    content: Peer
    billing: Peer
    database: object
    outbox: Outbox
    user: Caller
    tasks_billing: Peer

    async def create(self, who=None, request_id="", **fields):
        """Creates a task with sensible fields."""
        fields = {
            "title": "Descale a coffee machine",
            "cluster_id": fields.pop("cluster_id", None) or await self.cluster(who),
            "content_type": types_pb2.ContentType.post,
            "content_structure": types_pb2.ContentStructure.guide,
            "word_count": 300,
        } | fields
        request = tasks_pb2.CreateTaskRequest(task=tasks_pb2.Task(**fields), request_id=request_id)
        return await self.call(tasks_pb2_grpc.TaskServiceStub, "CreateTask", request, who)

    async def cluster(self, who=None, name=None):
        request = clusters_pb2.CreateClusterRequest(
            cluster=clusters_pb2.Cluster(name=name or new_id())
        )
        stub = self.content.stub(clusters_pb2_grpc.ClusterServiceStub)
        return (await self.content.call(stub.CreateCluster, request, who or self.user)).id

    async def call(self, stub_type, method, request, who=None):
        stub = self.tasks.stub(stub_type)
        return await self.tasks.call(getattr(stub, method), request, who or self.user)

    async def generate(self, *ids, who=None, request_id="", stop_after="content"):
        request = runs_pb2.GenerateContentRequest(
            ids=ids, request_id=request_id, stop_after=types_pb2.Stage.Value.Value(stop_after)
        )
        return await self.call(runs_pb2_grpc.RunServiceStub, "GenerateContent", request, who)

    async def refused(self, call):
        """The refusal of a call that must not succeed."""
        with pytest.raises(Refusal) as caught:
            await call
        return caught.value

    async def run(self, run_id, who=None):
        request = runs_pb2.GetRunRequest(id=run_id)
        return await self.call(runs_pb2_grpc.RunServiceStub, "GetRun", request, who)

    async def task(self, task_id, who=None):
        request = tasks_pb2.GetTaskRequest(id=task_id)
        return await self.call(tasks_pb2_grpc.TaskServiceStub, "GetTask", request, who)

    async def list(self, who=None, **fields):
        request = tasks_pb2.ListTasksRequest(**fields)
        return await self.call(tasks_pb2_grpc.TaskServiceStub, "ListTasks", request, who)

    async def balance(self, who=None):
        stub = self.billing.stub(credits_pb2_grpc.CreditServiceStub)
        request = credits_pb2.GetBalanceRequest()
        return await self.billing.call(stub.GetBalance, request, who or self.user)

    async def reservation_state(self, key):
        """How the reservation of a key stands, as the tasks service would be told."""
        stub = self.tasks_billing.stub(reservations_pb2_grpc.ReservationServiceStub)
        request = reservations_pb2.GetReservationRequest(key=key)
        who = Caller.service("tasks", account_id=self.user.account_id)
        found = await self.tasks_billing.call(stub.GetReservation, request, who)
        return reservations_pb2.Reservation.State.Name(found.state)

    async def open_account(self, account_id):
        stub = self.billing.stub(credits_pb2_grpc.CreditServiceStub)
        gateway = Caller.service("gateway", account_id=account_id)
        await self.billing.call(stub.OpenAccount, credits_pb2.OpenAccountRequest(), gateway)

    async def events(self, message_type):
        """Messages of one type in the outbox, oldest first."""
        table = metadata.tables["outbox"]
        rows = await self.database.read(
            lambda connection: connection.execute(select(table).order_by(table.c.sequence)).all()
        )
        found = [EVENTS[row.type].FromString(row.payload) for row in rows]
        return [event for event in found if type(event) is message_type]

    @property
    def dispatcher(self):
        return Dispatcher(self.database, self.outbox)

    @property
    def progress(self):
        return Progress(self.database, self.outbox)


def owner(account_id=None):
    """A fresh account's owner at a site and sector."""
    return Caller(
        issuer="gateway",
        principal=f"user:{new_id()}",
        role="owner",
        account_id=account_id or new_id(),
        site_id=new_id(),
        sector_id=new_id(),
        sector_name="Coffee",
    )


def told(event_type, **fields):
    """A delivery of an event."""
    return Delivery(
        event_id=new_id(), consumer=event_type.__name__, attempt=1, message=event_type(**fields)
    )


@pytest.fixture(scope="session")
def service_keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("service-keys"), NAMES)


@pytest.fixture
async def world(make_database, make_sqlite, service_keys, offline_model):
    async with AsyncExitStack() as stack:
        addresses, hosts = {}, {}
        for name, wire in (
            ("billing", wire_billing),
            ("content", wire_content),
            ("tasks", wire_tasks),
        ):
            host = Host(
                settings=service_keys.settings(name, addresses, OPENAI_BASE_URL=offline_model),
                database=await (make_database if name == "tasks" else make_sqlite)(
                    f"services.{name}"
                ),
                outbox=Outbox(name),
                signer=Signer(name, service_keys.signing[name]),
            )
            parts = wire(host)
            for close in parts.close:
                stack.push_async_callback(close)
            hosts[name] = host
            addresses[name] = await stack.enter_async_context(
                served(parts.servicers, name, service_keys)
            )
        gateway = Signer("gateway", service_keys.signing["gateway"])
        peers = {name: Peer(name, address, gateway) for name, address in addresses.items()}
        user = owner()
        world = World(
            **peers,
            database=hosts["tasks"].database,
            outbox=hosts["tasks"].outbox,
            user=user,
            tasks_billing=hosts["tasks"].peer("billing"),
        )
        await world.open_account(user.account_id)
        yield world
        for peer in (*peers.values(), *(p for host in hosts.values() for p in host.peers.values())):
            await peer.close()
