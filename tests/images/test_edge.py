"""The gRPC edge: one image, lists, files, and who may see them."""

import asyncio
import hashlib

import pytest
from sqlalchemy import update
from support.serving import anonymous, user
from support.serving import service as as_service
from writer.images.v1 import images_pb2

from chassis import clock
from chassis.errors import Refusal
from chassis.ids import new_id
from services.images.schema import images

Image = images_pb2.Image
STRANGE_IDS = ["nobody", "../../etc/passwd", "a" * 5000, "%2e%2e", "acme/x", "'; --", "é"]


@pytest.fixture
async def made(stack):
    """Three pictures of `acme`."""
    await stack.start(stack.text_written())
    return await stack.images()


@pytest.fixture
def file_of(service):
    """The chunks of an image's file, asked for by somebody without an account."""

    async def read(image_id):
        request = images_pb2.GetImageFileRequest(id=image_id)
        return [chunk async for chunk in service.stream("GetImageFile", request, anonymous())]

    return read


async def test_a_generated_image_says_all_about_its_file(made, service):
    row = made[0]
    image = await service.call(
        "GetImage", images_pb2.GetImageRequest(id=row.id), user(role="viewer")
    )
    assert image.image_url == f"/api/v1/writer/images/{row.id}/file"
    assert (image.image_type, image.position) == (Image.featured, 0)
    assert (image.status, image.mime_type) == (Image.generated, "image/png")
    assert (image.width, image.height, image.bytes) == (96, 64, row.bytes)
    assert (image.sha256, image.model, image.provider) == (
        row.sha256,
        "offline-writer-1",
        "127.0.0.1",
    )
    assert (image.content_id, image.task_id) == (row.content_id, "task")
    assert image.create_time.ToDatetime() <= image.update_time.ToDatetime()
    assert image.etag == "2"


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_image_without_a_file_has_no_url(stack, service):
    await stack.start(stack.text_written(stop_after="image_prompts"))
    listed = await service.call("ListImages", images_pb2.ListImagesRequest(), user())
    assert {image.image_url for image in listed.images} == {""}
    assert {image.status for image in listed.images} == {Image.pending}


async def test_lists_are_filtered_ordered_and_paged(stack, made, service):
    await stack.start(stack.text_written(stop_after="image_prompts"))
    first = made[0].content_id

    async def listed(**request):
        answer = await service.call("ListImages", images_pb2.ListImagesRequest(**request), user())
        return answer, [image.id for image in answer.images]

    _, everything = await listed()
    assert len(everything) == 6
    _, of_content = await listed(content_id=first, order_by="position")
    assert of_content[-1] == made[2].id
    assert len(of_content) == 3
    _, featured = await listed(content_id=first, image_type=Image.featured)
    assert featured == [made[0].id]
    _, pending = await listed(status=Image.pending)
    assert len(pending) == 3
    assert not set(pending) & {row.id for row in made}
    assert (await listed(task_id="unknown"))[1] == []
    assert len((await listed(task_id="task"))[1]) == 6

    for order in ("id", "-id", "position", "-position", "created_at", "-created_at"):
        whole, ids = await listed(order_by=order)
        assert whole.total_size == 6
        pages, token = [], ""
        while True:
            page, part = await listed(order_by=order, page_size=4, page_token=token)
            pages += part
            token = page.next_page_token
            if not token:
                break
        assert pages == ids
    assert (await listed(order_by="id"))[1] == sorted(everything)
    with pytest.raises(Refusal) as refused:
        await listed(order_by="prompt")
    assert refused.value.reason == "INVALID_FIELDS"


async def test_nobody_sees_the_images_of_another_tenant(stack, made, service):
    await stack.start(stack.text_written(site_id="site-2", sector_id="sector-2"))
    mine = {row.id for row in made}

    async def seen(who):
        answer = await service.call("ListImages", images_pb2.ListImagesRequest(), who)
        assert answer.total_size == len(answer.images)
        return {image.id for image in answer.images}

    assert len(await seen(user())) == 6
    assert await seen(user(site_id="site")) == mine
    assert await seen(user(site_id="site", sector_id="sector")) == mine
    assert await seen(user(site_id="site", sector_id="sector-2")) == set()
    assert await seen(user(allowed_sites=("site",))) == mine
    assert await seen(user(allowed_sites=())) == set()
    assert await seen(user("umbrella")) == set()

    messages = set()
    for who in (
        user("umbrella"),
        user(allowed_sites=("site-2",)),
        user(site_id="site-2"),
    ):
        with pytest.raises(Refusal) as refused:
            await service.call("GetImage", images_pb2.GetImageRequest(id=made[0].id), who)
        messages.add((refused.value.reason, refused.value.message.replace(made[0].id, "")))
    with pytest.raises(Refusal) as unknown:
        await service.call("GetImage", images_pb2.GetImageRequest(id="unknown"), user())
    messages.add((unknown.value.reason, unknown.value.message.replace("unknown", "")))
    assert len(messages) == 1, "another's image answers as one that does not exist"


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_only_known_roles_and_services_may_call(made, service):
    request = images_pb2.GetImageRequest(id=made[0].id)
    content = as_service("content")
    assert (await service.call("GetImage", request, content)).id == made[0].id
    for who in (user(role="nobody"), anonymous()):
        with pytest.raises(Refusal) as refused:
            await service.call("GetImage", request, who)
        assert refused.value.reason in {"ROLE_FORBIDDEN", "UNAUTHENTICATED"}
    file_request = images_pb2.GetImageFileRequest(id=made[0].id)
    with pytest.raises(Exception, match="may not call"):
        [chunk async for chunk in service.stream("GetImageFile", file_request, content)]


async def test_the_file_comes_in_bounded_chunks_to_everyone(stack, made, file_of):
    row = made[0]
    data = bytes(range(256)) * 600  # 150 KiB: three chunks
    (stack.folder / row.storage_key).write_bytes(data)
    chunks = await file_of(row.id)
    assert [len(chunk.data) for chunk in chunks] == [65536, 65536, len(data) - 131072]
    assert b"".join(chunk.data for chunk in chunks) == data
    head, *rest = chunks
    assert (head.mime_type, head.sha256, head.total_bytes) == ("image/png", row.sha256, row.bytes)
    assert {(chunk.mime_type, chunk.sha256, chunk.total_bytes) for chunk in rest} == {("", "", 0)}


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_the_file_is_the_one_that_was_stored(made, file_of):
    for row in made:
        data = b"".join(chunk.data for chunk in await file_of(row.id))
        assert hashlib.sha256(data).hexdigest() == row.sha256


async def test_strange_ids_have_no_file(made, file_of, service):
    for image_id in STRANGE_IDS:
        with pytest.raises(Exception, match="There is no") as refused:
            await file_of(image_id)
        assert refused.value.code().name == "NOT_FOUND"
        with pytest.raises(Refusal) as unknown:
            await service.call("GetImage", images_pb2.GetImageRequest(id=image_id), user())
        assert unknown.value.reason == "NOT_FOUND"
        assert refused.value.details() == unknown.value.message


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_an_id_that_has_no_file_is_named_unless_it_is_no_id(made, file_of):
    unknown = new_id()
    with pytest.raises(Exception, match=f"There is no image {unknown}"):
        await file_of(unknown)
    with pytest.raises(Exception, match="no such image"):
        await file_of("../../etc/passwd")


@pytest.mark.parametrize("dialect", ["sqlite"])
@pytest.mark.parametrize(
    "change",
    [{"status": "pending"}, {"status": "failed"}, {"delete_time": clock.now()}],
    ids=["pending", "failed", "deleted"],
)
async def test_an_image_that_is_not_shown_has_no_file(stack, made, file_of, change):
    row = made[0]
    change_row = update(images).where(images.c.id == row.id).values(**change)
    await stack.database.write(lambda c: c.execute(change_row))
    with pytest.raises(Exception, match=f"no image {row.id}"):
        await file_of(row.id)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_a_file_that_was_lost_is_not_found(stack, made, file_of):
    (stack.folder / made[0].storage_key).unlink()
    with pytest.raises(Exception, match=f"no image {made[0].id}"):
        await file_of(made[0].id)


@pytest.mark.parametrize("dialect", ["sqlite"])
async def test_files_are_read_side_by_side(made, file_of):
    answers = await asyncio.gather(*(file_of(row.id) for row in made * 5))
    assert len(answers) == 15
