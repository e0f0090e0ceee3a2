"""Faults: calls that are cut at any await, and databases whose process dies around a commit."""

import asyncio

from tests.billing.faults import Died


class Cut:
    """Awaits a coroutine and cancels its task when it waits for the n-th time, as a server does
    with a caller who hangs up. `waits` says how often it waited."""

    def __init__(self, coroutine, at=None):
        self._coroutine = coroutine
        self._at = at
        self.waits = 0

    def __await__(self):
        steps = self._coroutine.__await__()
        resume = steps.__next__
        while True:
            try:
                waited_for = resume()
            except StopIteration as done:
                return done.value
            self.waits += 1
            if self.waits == self._at:
                asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
            try:
                sent = yield waited_for
            except BaseException as error:  # noqa: BLE001  it is handed on
                resume = lambda error=error: steps.throw(error)  # noqa: E731
            else:
                resume = lambda sent=sent: steps.send(sent)  # noqa: E731


async def cut(coroutine, at):
    """Runs it in a task of its own, cancelled at its n-th await; None if it was cut, or if it
    came to an end before: then a tuple of its result."""

    async def whole():
        return (await Cut(coroutine, at),)

    task = asyncio.create_task(whole())
    try:
        return await task
    except asyncio.CancelledError:
        return None


class Mortal:
    """A database whose process may die in the next write: before it, inside it after the work
    was done, or after the commit."""

    def __init__(self, database):
        self._database = database
        self.dialect = database.dialect
        self.dies = ""

    async def write(self, work):
        dies, self.dies = self.dies, ""
        if dies == "before":
            raise Died
        if dies == "inside":

            def inside(connection):
                work(connection)
                raise Died

            return await self._database.write(inside)
        answer = await self._database.write(work)
        if dies == "after":
            raise Died
        return answer

    def __getattr__(self, name):
        return getattr(self._database, name)
