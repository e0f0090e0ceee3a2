"""The content service's use cases on both databases, with the offline model over real HTTP."""

from dataclasses import dataclass

import pytest
from sqlalchemy import select
from writer.events.v1 import content_pb2, generation_pb2, images_pb2
from writer.types.v1 import types_pb2

from chassis.caller import Caller
from chassis.consumers import Delivery
from chassis.ids import new_id
from chassis.model import Model
from chassis.outbox import Outbox
from chassis.retry import RetryPolicy
from services.content.providers.author import Author
from services.content.schema import metadata
from services.content.service.clusters import Clusters
from services.content.service.illustrating import Illustrating
from services.content.service.reading import Reading
from services.content.service.writing import Writing

FAST = RetryPolicy(
    attempts_max=3, attempt_s=3.0, total_s=10.0, first_delay_s=0.01, delay_max_s=0.05
)
EVENTS = {
    f"writer.events.v1.{name}": getattr(module, name)
    for module in (content_pb2, generation_pb2, images_pb2)
    for name in module.DESCRIPTOR.message_types_by_name
}


@dataclass
class Room:
    """The service's parts and what it said."""

    database: object
    writing: Writing
    illustrating: Illustrating
    reading: Reading
    clusters: Clusters
    caller: Caller

    async def events(self, message_type=None):
        """Messages in the outbox, oldest first."""
        outbox = metadata.tables["outbox"]
        rows = await self.database.read(
            lambda connection: connection.execute(select(outbox).order_by(outbox.c.sequence)).all()
        )
        found = [EVENTS[row.type].FromString(row.payload) for row in rows]
        return [event for event in found if message_type in (None, type(event))]


@pytest.fixture
def tenant():
    """A fresh account with a site and a sector."""
    return {"account_id": new_id(), "site_id": new_id(), "sector_id": new_id()}


@pytest.fixture
def policy():
    return FAST


@pytest.fixture
async def room(make_database, offline_model, tenant, policy):
    database = await make_database("services.content")
    outbox = Outbox("content")
    model = Model(base_url=offline_model, api_key="offline", policy=policy)
    yield Room(
        database=database,
        writing=Writing(database, outbox, Author(model, "some-model")),
        illustrating=Illustrating(database, outbox),
        reading=Reading(database),
        clusters=Clusters(database),
        caller=Caller(issuer="gateway", principal="user:1", role="owner", **tenant),
    )
    await model.close()


@pytest.fixture
def requested(tenant):
    """A delivery of GenerationRequested; keyword arguments change its brief."""

    def make(attempt=1, event_id=None, generation_id=None, **brief):
        fields = {
            "title": "How to descale a coffee machine",
            "description": "Explain why lime builds up and how to remove it safely.",
            "keywords": "descale coffee machine, vinegar, citric acid",
            "content_type": types_pb2.ContentType.post,
            "content_structure": types_pb2.ContentStructure.guide,
            "word_count": 300,
            "cluster_id": new_id(),
            "sector_name": "Coffee",
        }
        generation_id = generation_id or new_id()
        return Delivery(
            event_id=event_id or new_id(),
            consumer="content-generation-requested",
            attempt=attempt,
            message=generation_pb2.GenerationRequested(
                **tenant,
                run_id=new_id(),
                generation_id=generation_id,
                task_id=new_id(),
                reservation_key=f"generation/{generation_id}",
                stop_after=types_pb2.Stage.images,
                request_id="request-1",
                brief=generation_pb2.Brief(**fields | brief),
            ),
        )

    return make
