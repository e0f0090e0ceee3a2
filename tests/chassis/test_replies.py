"""A repeated call has one effect and one answer, on both databases and also twenty at once."""

import asyncio

import pytest
from sqlalchemy import Column, MetaData, String, Table, func, insert, select
from support.serving import service, user
from writer.tasks.v1 import tasks_pb2

from chassis.errors import NotFound, RequestIdReused
from chassis.ids import new_id
from chassis.replies import Reply

AT_ONCE = 20
METHOD = "/writer.tasks.v1.TaskService/CreateTask"

effects = Table("effects", MetaData(), Column("id", String(36), primary_key=True))


def asking(title="A title", request_id="r-1", who=None, method=METHOD):
    request = tasks_pb2.CreateTaskRequest(task=tasks_pb2.Task(title=title), request_id=request_id)
    return Reply(
        who or user(), method, request, tasks_pb2.Task, lambda made: tasks_pb2.Task(id=made)
    )


@pytest.fixture
async def create(database):
    """Has the effect of a call once; answers with the id of what was made."""
    await database.write(lambda c: effects.metadata.create_all(c))

    async def create(reply, error=None):
        def work(connection):
            def effect():
                made = new_id()
                connection.execute(insert(effects).values(id=made))
                if error:
                    raise error
                return made

            return reply.once(connection, effect)

        return (await database.write(work)).id

    return create


@pytest.fixture
def count(database):
    async def count():
        counted = select(func.count()).select_from(effects)
        return await database.read(lambda c: c.execute(counted).scalar_one())

    return count


async def test_the_same_call_again_has_the_same_answer_and_no_other_effect(create, count):
    first = await create(asking())
    assert await create(asking()) == first
    assert await count() == 1


async def test_twenty_at_once_have_one_effect_and_one_answer(create, count):
    answers = await asyncio.gather(*(create(asking()) for _ in range(AT_ONCE)))
    assert len(set(answers)) == 1
    assert await count() == 1


async def test_of_different_bodies_at_once_one_is_answered(create, count):
    outcomes = await asyncio.gather(
        *(create(asking(title=f"Title {n % 2}")) for n in range(AT_ONCE)), return_exceptions=True
    )
    answers = {outcome for outcome in outcomes if isinstance(outcome, str)}
    refusals = [outcome for outcome in outcomes if isinstance(outcome, RequestIdReused)]
    assert (len(answers), len(refusals)) == (1, AT_ONCE // 2)
    assert await count() == 1


async def test_another_body_under_the_same_id_is_refused(create, count):
    await create(asking())
    with pytest.raises(RequestIdReused):
        await create(asking(title="Another title"))
    assert await count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"who": user("other")},
        {"who": user(principal="user:2")},
        {"who": service("content")},
        {"method": "/writer.tasks.v1.TaskService/CopyTask"},
        {"request_id": "r-2"},
    ],
)
async def test_nobody_meets_the_answer_of_another_call(create, count, other):
    first = await create(asking())
    assert await create(asking(**other)) != first
    assert await count() == 2


async def test_the_chosen_site_is_part_of_what_was_asked(create):
    await create(asking(who=user(site_id="s1", sector_id="t1")))
    for elsewhere in ({"site_id": "s2", "sector_id": "t1"}, {"site_id": "s1", "sector_id": "t2"}):
        with pytest.raises(RequestIdReused):
            await create(asking(who=user(**elsewhere)))


async def test_without_an_id_every_call_has_its_own_effect(create, count):
    assert await create(asking(request_id="")) != await create(asking(request_id=""))
    assert await count() == 2


async def test_a_call_that_failed_may_be_repeated(create, count):
    with pytest.raises(NotFound):
        await create(asking(), NotFound("cluster"))
    assert await count() == 0
    assert await create(asking(title="Corrected"))
    assert await count() == 1


async def test_calls_that_fail_beside_good_ones_leave_nothing(create, count):
    calls = [create(asking(), NotFound("cluster") if n % 2 else None) for n in range(AT_ONCE)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert len({outcome for outcome in outcomes if isinstance(outcome, str)}) == 1
    assert await count() == 1


async def test_what_was_answered_can_be_looked_up_before_the_work(create, database):
    assert await database.read(asking().stored) is None
    first = await create(asking())
    assert (await database.read(asking().stored)).id == first
    assert await database.read(asking(request_id="").stored) is None
    with pytest.raises(RequestIdReused):
        await database.read(asking(title="Another title").stored)
