"""From a finished text to stored pictures: what is told, what is kept, what is paid for."""

import asyncio
import hashlib
import io
import itertools
import random
from dataclasses import replace

import pytest
from PIL import Image as Pillow
from writer.events.v1 import images_pb2
from writer.types.v1 import types_pb2

from chassis.ids import derived_id
from services.images.pictures import picture_from_bytes

ONLY_SQLITE = pytest.mark.parametrize("dialect", ["sqlite"])
Stage = types_pb2.Stage


@ONLY_SQLITE
async def test_a_text_gets_one_featured_picture_and_two_for_the_text(real_sizes, stack):
    written = stack.text_written()
    await stack.start(written)

    rows = await stack.images()
    slots = [(row.image_type, row.position, row.width, row.height) for row in rows]
    assert slots == [
        ("featured", 0, 1536, 1024),
        ("in_article", 0, 1024, 1024),
        ("in_article", 1, 1024, 1024),
    ]
    assert len(stack.files()) == 3
    for row in rows:
        path = stack.folder / row.storage_key
        assert path == stack.folder / "acme" / row.id / f"{row.sha256}.png"
        data = path.read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (row.sha256, row.bytes)
        with Pillow.open(path) as picture:
            assert (picture.format, picture.size) == ("PNG", (row.width, row.height))
            picture.load()
            assert picture.info == {}
        assert row.status == "generated"
        assert row.content_id == written.content_id
        assert (row.account_id, row.site_id, row.sector_id) == ("acme", "site", "sector")
        assert row.provider == "127.0.0.1"
        assert row.prompt
        assert row.alt_text


async def test_what_is_told_on_the_way(stack):
    written = stack.text_written()
    await stack.start(written)

    [ready] = await stack.told(images_pb2.ImagePromptsReady)
    assert ready.image_set_id == derived_id("image_set", written.generation_id)
    assert ready.reservation_key == f"prompts/{ready.image_set_id}"
    assert (ready.total, ready.model, ready.stop_after) == (3, "offline-writer-1", Stage.images)
    assert ready.prompt_tokens > 0
    assert ready.completion_tokens > 0
    assert (ready.run_id, ready.request_id) == ("run", "request")

    requested = await stack.told(images_pb2.ImageRequested)
    generated = await stack.told(images_pb2.ImageGenerated)
    assert [each.reservation_key for each in requested] == [
        f"image/{each.image_id}/1" for each in requested
    ]
    assert [each.reservation_key for each in generated] == [
        each.reservation_key for each in requested
    ]
    assert [each.generated for each in generated] == [1, 2, 3]

    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert completed.stage == Stage.images
    assert (completed.total, completed.generated, completed.failed) == (3, 3, 0)
    assert completed.has_featured
    assert completed.reason == ""
    assert completed.content_id == written.content_id
    versions = [ready.version, *(each.version for each in generated), completed.version]
    assert versions == sorted(set(versions)), "a consumer can tell what is newer"

    assert set(stack.billing.held) == {
        ready.reservation_key,
        *(each.reservation_key for each in requested),
    }
    assert stack.billing.credits == 100 - 2 - 3


@ONLY_SQLITE
@pytest.mark.parametrize("stop_after", ["content", "stage_unspecified"])
async def test_a_run_that_ends_with_the_text_makes_nothing(stack, stop_after):
    await stack.start(stack.text_written(stop_after=stop_after))
    assert await stack.events() == []
    assert await stack.sets_() == []
    assert stack.billing.held == {}


@ONLY_SQLITE
async def test_a_run_that_ends_with_the_prompts_leaves_the_pictures_pending(stack):
    await stack.start(stack.text_written(stop_after="image_prompts"))
    assert {row.status for row in await stack.images()} == {"pending"}
    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert (completed.stage, completed.total, completed.reason) == (Stage.image_prompts, 3, "")
    assert len(stack.billing.held) == 1


async def test_every_event_three_times_in_any_order_changes_nothing_more(stack):
    written = stack.text_written()
    shuffle = random.Random(7)
    deliveries = [("start", written)] * 3
    seen = set()
    while deliveries:
        shuffle.shuffle(deliveries)
        batch, deliveries = deliveries, []
        await asyncio.gather(*(stack.deliver(m, e, n % 3 + 1) for n, (e, m) in enumerate(batch)))
        for event_id, message in await stack.events():
            if event_id not in seen and type(message) in stack.subscriptions:
                deliveries += [(event_id, message)] * 3
            seen.add(event_id)
        # Events of the past come again, too.
        deliveries += [("start", written)] if deliveries else []

    rows = await stack.images()
    assert len(rows) == 3
    assert {row.status for row in rows} == {"generated"}
    assert len(stack.files()) == 3
    assert len(await stack.told(images_pb2.ImagePromptsReady)) == 1
    assert len({m.image_id for m in await stack.told(images_pb2.ImageGenerated)}) == 3
    assert len(await stack.told(images_pb2.ImageGenerated)) == 3
    assert len(await stack.told(images_pb2.ImageSetCompleted)) == 1
    assert stack.billing.credits == 95


async def test_facts_that_are_told_under_two_event_ids_count_once(stack):
    written = stack.text_written()
    await asyncio.gather(stack.deliver(written, "one"), stack.deliver(written, "two"))
    [ready] = await stack.told(images_pb2.ImagePromptsReady)
    await asyncio.gather(stack.deliver(ready, "three"), stack.deliver(ready, "four"))
    await stack.run()
    assert len(await stack.told(images_pb2.ImageRequested)) == 3
    assert len(await stack.sets_()) == 1
    assert len(await stack.images()) == 3
    assert len(await stack.told(images_pb2.ImageSetCompleted)) == 1


async def test_pictures_that_end_at_the_same_moment_complete_the_set_once(stack):
    await stack.deliver(stack.text_written())
    [ready] = await stack.told(images_pb2.ImagePromptsReady)
    await stack.deliver(ready)
    requested = await stack.events(images_pb2.ImageRequested)
    await asyncio.gather(*(stack.deliver(message, event_id) for event_id, message in requested))

    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert (completed.generated, completed.failed) == (3, 0)
    generated = await stack.told(images_pb2.ImageGenerated)
    assert sorted(each.generated for each in generated) == [1, 2, 3]


@ONLY_SQLITE
async def test_too_few_credits_for_the_prompts_end_the_set_before_the_model_is_asked(stack):
    stack.billing.credits = 1
    await stack.start(stack.text_written())
    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert (completed.stage, completed.reason) == (Stage.content, "INSUFFICIENT_CREDITS")
    assert await stack.images() == []
    assert len(await stack.events()) == 1, "there is nothing to give back"


@ONLY_SQLITE
async def test_too_few_credits_for_all_pictures_leave_all_of_them_pending(stack):
    stack.billing.credits = 4
    await stack.start(stack.text_written())
    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert (completed.stage, completed.reason) == (Stage.image_prompts, "INSUFFICIENT_CREDITS")
    assert (completed.total, completed.generated, completed.failed) == (3, 0, 0)
    left = {(row.status, row.reason, row.revision) for row in await stack.images()}
    assert left == {("pending", "INSUFFICIENT_CREDITS", 2)}, "nobody will draw them: that is said"
    assert await stack.told(images_pb2.ImageRequested) == []
    assert stack.billing.credits == 2
    assert stack.files() == []


@ONLY_SQLITE
async def test_credits_that_went_back_pay_for_nothing(stack):
    written = stack.text_written()
    key = f"prompts/{derived_id('image_set', written.generation_id)}"
    stack.billing.hold_expired(key)
    await stack.start(written)
    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert completed.reason == "RESERVATION_EXPIRED"
    assert await stack.images() == []


@ONLY_SQLITE
async def test_a_content_that_is_gone_ends_the_set_and_gives_the_credits_back(stack):
    written = stack.text_written()
    stack.contents.contents.clear()
    await stack.start(written)
    [failed] = await stack.told(images_pb2.ImagePromptsFailed)
    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert failed.reason == completed.reason == "NOT_FOUND"
    assert failed.reservation_key in stack.billing.held


@ONLY_SQLITE
async def test_a_peer_that_fails_lets_the_event_come_again(stack):
    stack.billing.down = True
    written = stack.text_written()
    with pytest.raises(Exception, match="out of order"):
        await stack.start(written)
    assert await stack.events() == []
    stack.billing.down = False
    await stack.start(written)
    assert len(await stack.told(images_pb2.ImageSetCompleted)) == 1


class DyingDatabase:
    """Dies at one write, just before or just after its commit."""

    def __init__(self, database, at, *, after_commit):
        self._database = database
        self._left = itertools.count(at, -1)
        self._after_commit = after_commit
        self.read = database.read
        self.has_died = False

    async def write(self, work):
        dies = next(self._left) == 0
        self.has_died |= dies
        if dies and not self._after_commit:
            raise ConnectionResetError("died before the commit")
        result = await self._database.write(work)
        if dies:
            raise ConnectionResetError("died before the acknowledgement")
        return result


@ONLY_SQLITE
@pytest.mark.parametrize("after_commit", [False, True])
async def test_dying_at_any_write_leaves_one_row_a_slot_one_file_and_one_charge(
    stack, after_commit
):
    for write in itertools.count():
        dying = DyingDatabase(stack.database, write, after_commit=after_commit)
        stack.assemble(dying)
        stack.billing.credits = 100
        written = stack.text_written(title=f"Death number {write}")
        await stack.start(written, attempts_max=2)

        rows = [row for row in await stack.images() if row.content_id == written.content_id]
        assert [row.status for row in rows] == ["generated"] * 3
        assert len({(row.image_type, row.position) for row in rows}) == 3
        files = [path for row in rows for path in (stack.folder / "acme" / row.id).iterdir()]
        assert sorted(files) == sorted(stack.folder / row.storage_key for row in rows)
        assert stack.billing.credits == 95
        assert len(await stack.told(images_pb2.ImageSetCompleted)) == write + 1
        assert len(await stack.told(images_pb2.ImageGenerated)) == (write + 1) * 3
        if not dying.has_died:
            break
    assert write >= 6, "the set, its prompts, its release and three pictures are written"


class Wandering:
    """Draws with the real model, and never the same picture twice."""

    def __init__(self, drawer):
        self._drawer = drawer
        self._shades = itertools.count()

    async def draw(self, prompt, image_type):
        drawing = await self._drawer.draw(prompt, image_type)
        buffer = io.BytesIO()
        Pillow.new("RGB", (64, 64), (next(self._shades), 0, 0)).save(buffer, "PNG")
        return replace(drawing, picture=picture_from_bytes(buffer.getvalue()))


async def one_order(stack):
    await stack.deliver(stack.text_written())
    [ready] = await stack.told(images_pb2.ImagePromptsReady)
    await stack.deliver(ready)
    [(event_id, message), *_] = await stack.events(images_pb2.ImageRequested)
    return event_id, message


async def test_of_two_workers_at_one_picture_only_one_file_stays(stack):
    event_id, message = await one_order(stack)
    stack.pictures._illustrator = Wandering(stack.pictures._illustrator)
    again = [(event_id, 1), (event_id, 2), ("told anew", 1)]
    await asyncio.gather(*(stack.deliver(message, *each) for each in again))
    [row] = [row for row in await stack.images() if row.status == "generated"]
    assert stack.files() == [stack.folder / row.storage_key]
    assert len(await stack.told(images_pb2.ImageGenerated)) == 1


@ONLY_SQLITE
async def test_a_file_that_was_stored_before_a_crash_does_not_stay(stack):
    event_id, message = await one_order(stack)
    stack.assemble(DyingDatabase(stack.database, 0, after_commit=False))
    stack.pictures._illustrator = Wandering(stack.pictures._illustrator)
    with pytest.raises(ConnectionResetError):
        await stack.deliver(message, event_id)
    [lost] = stack.files()
    await stack.deliver(message, event_id, 2)
    [row] = [row for row in await stack.images() if row.status == "generated"]
    assert stack.files() == [stack.folder / row.storage_key] != [lost]


@ONLY_SQLITE
async def test_prompts_that_cannot_be_prepared_end_as_failed(stack):
    written = stack.text_written()
    for _ in range(2):
        await stack.give_up(written)
    [failed] = await stack.told(images_pb2.ImagePromptsFailed)
    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert (failed.reason, completed.reason) == ("INTERNAL", "INTERNAL")
    assert completed.stage == Stage.content
    await stack.start(written)
    assert await stack.images() == [], "a delivery that comes late changes nothing"


@ONLY_SQLITE
async def test_pictures_that_cannot_be_ordered_end_as_failed(stack):
    await stack.deliver(stack.text_written())
    [ready] = await stack.told(images_pb2.ImagePromptsReady)
    for _ in range(2):
        await stack.give_up(ready)
    failed = await stack.told(images_pb2.ImageFailed)
    assert sorted(each.reservation_key for each in failed) == sorted(
        f"image/{row.id}/1" for row in await stack.images()
    )
    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert (completed.failed, completed.reason) == (3, "INTERNAL")
    assert {row.status for row in await stack.images()} == {"failed"}
    await stack.run()
    assert await stack.told(images_pb2.ImageRequested) == []


async def test_a_picture_that_cannot_be_drawn_fails_and_the_others_count(stack):
    await stack.deliver(stack.text_written())
    [ready] = await stack.told(images_pb2.ImagePromptsReady)
    await stack.deliver(ready)
    requested = await stack.events(images_pb2.ImageRequested)
    (lost_id, lost), *rest = requested
    for _ in range(2):
        await stack.give_up(lost)
    await stack.deliver(lost, lost_id)
    for event_id, message in rest:
        await stack.deliver(message, event_id)
    [failed] = await stack.told(images_pb2.ImageFailed)
    assert (failed.image_id, failed.reason) == (lost.image_id, "INTERNAL")
    [completed] = await stack.told(images_pb2.ImageSetCompleted)
    assert (completed.generated, completed.failed, completed.reason) == (2, 1, "INTERNAL")
    assert completed.stage == Stage.images


@ONLY_SQLITE
async def test_a_set_that_nobody_knows_is_an_error_and_giving_it_up_is_none(stack):
    ready = images_pb2.ImagePromptsReady(account_id="acme", site_id="site", image_set_id="x")
    with pytest.raises(Exception, match="no image set"):
        await stack.deliver(ready)
    await stack.give_up(ready)
    assert await stack.events() == []


@ONLY_SQLITE
async def test_an_event_of_another_tenant_does_not_touch_a_set(stack):
    await stack.deliver(stack.text_written())
    [ready] = await stack.told(images_pb2.ImagePromptsReady)
    forged = images_pb2.ImagePromptsReady()
    forged.CopyFrom(ready)
    forged.account_id = "umbrella"
    with pytest.raises(Exception, match="no image set"):
        await stack.deliver(forged)
    assert await stack.told(images_pb2.ImageRequested) == []


@ONLY_SQLITE
async def test_a_set_without_credits_says_so_on_its_own_pictures_only(stack):
    await stack.start(stack.text_written(stop_after="image_prompts"))
    stack.billing.credits = 4
    await stack.start(stack.text_written())
    reasons = sorted(row.reason for row in await stack.images())
    assert reasons == [""] * 3 + ["INSUFFICIENT_CREDITS"] * 3
