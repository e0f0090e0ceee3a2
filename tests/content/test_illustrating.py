"""What a content makes of the images service's reports, in any order."""

import itertools

import pytest
from writer.events.v1 import content_pb2, images_pb2
from writer.types.v1 import types_pb2

from chassis.consumers import Delivery
from chassis.ids import new_id


@pytest.fixture
async def content(room, requested):
    delivery = requested()
    await room.writing.requested(delivery)
    [created] = await room.events(content_pb2.ContentCreated)
    return created


def report(message_type, content, tenant, **fields):
    event = message_type(
        **tenant,
        image_set_id="set",
        content_id=content.content_id,
        run_id="run",
        generation_id=content.generation_id,
        **fields,
    )
    return Delivery(event_id=new_id(), consumer=message_type.__name__, attempt=1, message=event)


def reports(content, tenant):
    """A whole set of three pictures, in the order in which it is told."""
    counts = [{"total": 3, "generated": n, "failed": 0, "version": n + 1} for n in (1, 2, 3)]
    kinds = ["in_article", "featured", "in_article"]
    made = [
        report(images_pb2.ImageGenerated, content, tenant, image_type=kind, **count)
        for kind, count in zip(kinds, counts, strict=True)
    ]
    done = {"stage": types_pb2.Stage.images, "has_featured": True, **counts[-1]}
    return [
        report(images_pb2.ImagePromptsReady, content, tenant, total=3, version=1),
        *made,
        report(images_pb2.ImageSetCompleted, content, tenant, **done),
    ]


async def hear(room, delivery):
    match delivery.message:
        case images_pb2.ImagePromptsReady():
            await room.illustrating.prompts_ready(delivery)
        case images_pb2.ImageSetCompleted():
            await room.illustrating.set_completed(delivery)
        case _:
            await room.illustrating.picture_settled(delivery)


async def test_flags_follow_the_pictures_until_the_content_goes_to_review(room, content, tenant):
    seen = []
    for delivery in reports(content, tenant):
        await hear(room, delivery)
        now = await room.reading.content(room.caller, content.content_id)
        flags = now.images
        seen.append((flags.pending, flags.generated, flags.has_featured, str(now.status)))
    assert seen == [
        (3, 0, False, "draft"),
        (2, 1, False, "draft"),
        (1, 2, True, "draft"),
        (0, 3, True, "draft"),
        (0, 3, True, "review"),
    ]


async def test_any_order_and_repetition_ends_the_same(room, content, tenant):
    orders = list(itertools.permutations(range(5)))[::23]
    told = reports(content, tenant)
    for order in orders[:1]:
        for index in (*order, *order):
            await hear(room, told[index])
    now = await room.reading.content(room.caller, content.content_id)
    assert (now.images.pending, now.images.generated, now.images.failed) == (0, 3, 0)
    assert now.images.has_featured
    assert now.status == "review"
    assert len(await room.events(content_pb2.ContentIllustrated)) == 1
    assert len(await room.events(content_pb2.ContentStatusChanged)) == 1


async def test_the_last_report_first_wins_over_all_that_follow(room, content, tenant):
    for delivery in reversed(reports(content, tenant)):
        await hear(room, delivery)
    now = await room.reading.content(room.caller, content.content_id)
    assert (now.images.pending, now.images.generated, now.status) == (0, 3, "review")


@pytest.mark.parametrize(
    "fields",
    [
        {"generated": 2, "failed": 1, "reason": "PROVIDER_REFUSED"},
        {"generated": 0, "failed": 0, "reason": "INSUFFICIENT_CREDITS"},
    ],
)
async def test_an_incomplete_set_leaves_a_draft_and_says_why(room, content, tenant, fields):
    done = report(
        images_pb2.ImageSetCompleted,
        content,
        tenant,
        stage=types_pb2.Stage.images,
        total=3,
        version=9,
        **fields,
    )
    await room.illustrating.set_completed(done)
    now = await room.reading.content(room.caller, content.content_id)
    assert now.status == "draft"
    [illustrated] = await room.events(content_pb2.ContentIllustrated)
    assert illustrated.reason == fields["reason"]
    assert illustrated.status == "draft"


async def test_prompts_alone_do_not_move_a_content_to_review(room, content, tenant):
    done = report(
        images_pb2.ImageSetCompleted,
        content,
        tenant,
        stage=types_pb2.Stage.image_prompts,
        total=3,
        version=2,
    )
    await room.illustrating.set_completed(done)
    assert (await room.reading.content(room.caller, content.content_id)).status == "draft"


async def test_a_content_that_is_gone_still_lets_its_run_end(room, content, tenant):
    content.content_id = new_id()
    for delivery in reports(content, tenant):
        await hear(room, delivery)
    [illustrated] = await room.events(content_pb2.ContentIllustrated)
    assert illustrated.status == ""
