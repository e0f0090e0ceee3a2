"""Tasks over gRPC: create, get, list."""

import asyncio

import pytest
from writer.tasks.v1 import tasks_pb2, tasks_pb2_grpc
from writer.types.v1 import types_pb2

from chassis.caller import Caller
from chassis.errors import Kind
from chassis.ids import new_id

from .conftest import owner


async def test_a_task_is_queued_in_the_callers_site_and_sector(world):
    task = await world.create(title="  Descale it  ", keywords="vinegar, lime")
    assert task.title == "Descale it"
    assert (task.site_id, task.sector_id) == (world.user.site_id, world.user.sector_id)
    assert task.sector_name == "Coffee"
    assert task.cluster_name
    assert task.status == tasks_pb2.Task.queued
    assert task.etag == "1"
    assert task.create_time.ToDatetime()
    assert await world.task(task.id) == task


async def test_the_word_count_is_1000_unless_given(world):
    request = {"title": "x", "cluster_id": await world.cluster()}
    made = await world.create(**request, word_count=None)
    assert made.word_count == 1000


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": ""}, "task.title"),
        ({"title": "  "}, "task.title"),
        ({"title": "x" * 501}, "task.title"),
        ({"cluster_id": "no-uuid"}, "task.cluster_id"),
        ({"content_type": 0}, "task.content_type"),
        ({"content_structure": 99}, "task.content_structure"),
        ({"word_count": 99}, "task.word_count"),
        ({"word_count": 10_001}, "task.word_count"),
        ({"prompt_override": "x" * 8001}, "task.prompt_override"),
    ],
)
async def test_a_field_at_fault_is_named_and_nothing_is_stored(world, fields, field):
    refusal = await world.refused(world.create(**{"cluster_id": new_id()} | fields))
    assert refusal.reason == "INVALID_FIELDS"
    assert {violation.field for violation in refusal.violations} == {field}
    assert (await world.list()).total_size == 0


async def test_a_cluster_must_exist_in_the_same_site_and_sector(world):
    elsewhere = await world.cluster(who=owner(world.user.account_id))
    for cluster_id in (new_id(), elsewhere, await world.cluster(who=owner())):
        refusal = await world.refused(world.create(cluster_id=cluster_id))
        assert [violation.field for violation in refusal.violations] == ["task.cluster_id"]


async def test_a_term_must_exist(world):
    refusal = await world.refused(world.create(taxonomy_term_id=new_id()))
    assert [violation.field for violation in refusal.violations] == ["task.taxonomy_term_id"]


async def test_one_request_id_makes_one_task_also_in_parallel(world):
    cluster_id = await world.cluster()
    made = await asyncio.gather(
        *(world.create(cluster_id=cluster_id, request_id="r1") for _ in range(8))
    )
    assert len({task.id for task in made}) == 1
    refusal = await world.refused(
        world.create(cluster_id=cluster_id, request_id="r1", title="Another")
    )
    assert refusal.reason == "REQUEST_ID_REUSED"
    assert (await world.list()).total_size == 1


async def test_lists_filter_search_order_and_page(world):
    cluster_id = await world.cluster()
    for number in range(7):
        await world.create(
            title=f"Title {number}",
            cluster_id=cluster_id if number % 2 else None,
            keywords="\u00c4pfel, 100%" if number == 3 else "",
            content_structure=types_pb2.ContentStructure.review if number == 5 else 2,
        )
    assert (await world.list()).total_size == 7
    assert (await world.list(cluster_id=cluster_id)).total_size == 3
    assert [t.title for t in (await world.list(search="\u00e4PFEL")).tasks] == ["Title 3"]
    assert [t.title for t in (await world.list(search="100%")).tasks] == ["Title 3"]
    assert (await world.list(search="_itle")).total_size == 0
    review = types_pb2.ContentStructure.review
    assert [t.title for t in (await world.list(content_structure=review)).tasks] == ["Title 5"]
    assert (await world.list(status=tasks_pb2.Task.completed)).total_size == 0
    seen, token = [], ""
    while True:
        page = await world.list(order_by="-title", page_size=3, page_token=token)
        seen += [task.title for task in page.tasks]
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"Title {number}" for number in range(6, -1, -1)]
    second = await world.list(order_by="title", page_size=3, skip=3)
    assert [task.title for task in second.tasks] == ["Title 3", "Title 4", "Title 5"]


async def test_an_unknown_order_and_a_foreign_token_are_refused(world):
    for _ in range(3):
        await world.create()
    refusal = await world.refused(world.list(order_by="password"))
    assert refusal.reason == "INVALID_FIELDS"
    token = (await world.list(page_size=1)).next_page_token
    refusal = await world.refused(world.list(page_size=1, page_token=token, search="x"))
    assert refusal.reason == "PAGE_TOKEN_INVALID"


async def test_another_accounts_task_answers_like_an_unknown_one(world):
    task = await world.create()
    stranger = owner()
    foreign = await world.refused(world.task(task.id, stranger))
    unknown = await world.refused(world.task(new_id(), stranger))
    assert (foreign.kind, foreign.reason) == (unknown.kind, unknown.reason)
    assert foreign.message.replace(task.id, "X") == unknown.message.replace(
        unknown.metadata["ids"], "X"
    )
    assert (await world.list(stranger)).total_size == 0


async def test_an_editor_sees_only_granted_sites(world):
    task = await world.create()
    fields = {
        "issuer": "gateway",
        "principal": "user:editor",
        "role": "editor",
        "account_id": world.user.account_id,
    }
    inside = Caller(**fields, allowed_sites=(world.user.site_id,))
    outside = Caller(**fields, allowed_sites=(new_id(),))
    assert (await world.task(task.id, inside)).id == task.id
    assert (await world.refused(world.task(task.id, outside))).reason == "NOT_FOUND"
    assert (await world.list(outside)).total_size == 0


async def test_a_viewer_may_read_and_not_write(world):
    viewer = Caller(
        issuer="gateway",
        principal="user:viewer",
        role="viewer",
        account_id=world.user.account_id,
        site_id=world.user.site_id,
        sector_id=world.user.sector_id,
    )
    cluster_id = await world.cluster()
    assert (await world.list(viewer)).total_size == 0
    refusal = await world.refused(world.create(who=viewer, cluster_id=cluster_id))
    assert refusal.reason == "ROLE_FORBIDDEN"


async def test_an_endless_id_is_refused_like_any_unknown_one(world):
    refusal = await world.refused(world.task("x" * 20_000))
    assert refusal.reason == "NOT_FOUND"
    assert len(refusal.metadata["ids"]) == 64


async def test_the_status_of_many_tasks_is_set_for_all_or_for_none(world):
    tasks = [await world.create() for _ in range(3)]
    ids = [task.id for task in tasks]

    def set_status(*named, who=None, request_id=""):
        request = tasks_pb2.BulkUpdateTasksRequest(
            ids=named, status=tasks_pb2.Task.completed, request_id=request_id
        )
        return world.call(tasks_pb2_grpc.TaskServiceStub, "BulkUpdateTasks", request, who)

    unknown = new_id()
    refusal = await world.refused(set_status(*ids, unknown))
    assert (refusal.kind, refusal.metadata["ids"]) == (Kind.NOT_FOUND, unknown)
    assert (await world.refused(set_status(*ids, who=owner()))).kind is Kind.NOT_FOUND
    assert {(await world.task(task_id)).etag for task_id in ids} == {"1"}

    for _ in range(2):
        answer = await set_status(*ids, request_id="twice")
        assert answer.updated_count == len(ids)
    found = [await world.task(task_id) for task_id in ids]
    assert {(task.status, task.etag) for task in found} == {(tasks_pb2.Task.completed, "2")}
