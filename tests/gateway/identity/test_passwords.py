"""Passwords: what a check costs, and how many may wait for one."""

import asyncio

from gateway.identity import passwords as module
from gateway.identity.passwords import LANES, MEMORY_KIB, NOBODY, PASSES, Passwords


async def test_the_hash_of_nobody_costs_what_a_real_one_does():
    passwords = Passwords()
    made = await passwords.hash("a password")
    assert made.split("$")[:4] == NOBODY.split("$")[:4]
    assert [len(part) for part in made.split("$")] == [len(part) for part in NOBODY.split("$")]
    assert f"m={MEMORY_KIB},t={PASSES},p={LANES}" in made
    assert not await passwords.matches("a password", None)
    assert await passwords.matches("a password", made)
    await passwords.close()


async def test_more_passwords_than_can_be_checked_in_time_are_refused(monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 4)
    passwords = Passwords()
    outcomes = await asyncio.gather(
        *(passwords.matches("x", None) for _ in range(6)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert {getattr(outcome, "reason", "") for outcome in refused} == {"UNAVAILABLE"}
    assert len(refused) == 2
    assert not await passwords.matches("x", None)
    await passwords.close()


async def test_the_event_loop_goes_on_while_a_password_is_checked():
    passwords = Passwords()
    checking = asyncio.create_task(passwords.matches("x", None))
    turns = 0
    while not checking.done():
        await asyncio.sleep(0)
        turns += 1
    # On the loop itself the check would be over after two or three.
    assert turns > 20
    await passwords.close()
