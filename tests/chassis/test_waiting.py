"""Waiting for work that others wait for as well."""

import asyncio
import gc

import pytest

from chassis.waiting import outcome


@pytest.fixture
async def complaints():
    """What the running loop complains of."""
    found = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, what: found.append(what))
    return found


async def test_everybody_who_waits_gets_the_same_outcome():
    work = asyncio.get_running_loop().create_future()
    waiting = [asyncio.create_task(outcome(work)) for _ in range(2)]
    await asyncio.sleep(0)
    work.set_result("tea")
    assert await asyncio.gather(*waiting) == ["tea", "tea"]
    assert await outcome(work) == "tea"


@pytest.mark.parametrize("fails", [False, True])
async def test_work_goes_on_when_its_waiter_leaves_and_nobody_complains(complaints, fails):
    begun, go_on = asyncio.Event(), asyncio.Event()
    ended = []

    async def run():
        begun.set()
        await go_on.wait()
        ended.append(True)
        if fails:
            raise OSError("later")

    work = asyncio.create_task(run())
    waiting = asyncio.create_task(outcome(work))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await asyncio.wait([work])
    assert ended == [True]
    del work, waiting
    gc.collect()
    assert complaints == []


async def test_failures_and_ends_are_told():
    async def fail():
        raise OSError("now")

    with pytest.raises(OSError, match="now"):
        await outcome(asyncio.create_task(fail()))
    ended = asyncio.get_running_loop().create_future()
    ended.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outcome(ended)
