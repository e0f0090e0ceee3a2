"""Passwords as argon2id hashes, computed beside the event loop by a few threads.

One hash takes 21 ms of a core, so the number of threads bounds what sign-ins may cost and
the number waiting bounds how long one may take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from gateway.identity.errors import TooManyPasswords

PASSES = 2
MEMORY_KIB = 19 * 1024
LANES = 1
"""OWASP's second set of argon2id parameters; the library's default takes eight times as long."""
THREADS = 2
WAITING_MAX = 64
"""Hashes under way or waiting: at most 0.7 s of work for two threads."""
NOBODY = f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${'A' * 22}${'A' * 43}"
"""A well-formed hash of no known password: checking it takes as long as checking a real one."""

_T = TypeVar("_T")


class Passwords:
    """Hashes and checks passwords off the event loop."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A salted hash with its parameters in it. Raises TooManyPasswords."""
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether this is the password; takes as long for None, which nothing matches."""

        def check() -> bool:
            try:
                return self._hasher.verify(password_hash or NOBODY, password)
            except VerificationError:
                return False

        return await self._run(check) and password_hash is not None

    async def close(self) -> None:
        """Lets the threads end; what still waits is not done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._waiting >= WAITING_MAX:
            raise TooManyPasswords
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
