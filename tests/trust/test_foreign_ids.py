"""Another account's id, wherever an id may stand: answered as an unknown one, without effect.

Every field of every request that names something is filled three times: with an unknown id, with
the other account's, and, where nothing is changed by it, with one's own, which must be answered
differently, or the field would not have been looked at.
"""

from dataclasses import dataclass

import pytest
from trust.contract import Method, Slot, methods
from trust.effects import difference
from trust.filling import fields
from trust.matrix import faults_of, of_nobody, of_tenant, require_none, unknown_of

from chassis.caller import Caller

OPEN = {
    "ImageService.GetImageFile": "pictures are public by id",
    "AccountService.SuspendAccount": "operators decide about every account",
    "AccountService.CancelAccount": "operators decide about every account",
    "AccountService.ReactivateAccount": "operators decide about every account",
}
"""Methods that reach into other accounts by design."""
ONLY_NOTED = {
    "BudgetService.CreateBudget budget.scope_id": "a ceiling for what may come",
    "ReservationService.CommitReservation usage.object_id": "what came out, as the service says",
    "ReservationService.QuoteCredits items.key": "given back with its price",
    "ReservationService.ReserveCredits items.key": "the caller's own name for its work",
    "ReservationService.ReserveCredits run_id": "whose work it is, as the service says",
    "ReservationService.ReserveCredits api_key_id": "whose work it is, as the service says",
    "TaskService.CreateTask task.idea_id": "the planner's name for its idea",
}
"""Fields that are kept or given back, and lead to nothing."""
UNKNOWN = {
    "page_token": lambda known: known[:-4] + ("AAAA" if known[-4:] != "AAAA" else "BBBB"),
    "etag": lambda known: "".join(["999", *known.partition(".")[1:]]),
}
"""What nobody has, where it has to look like what the other account has."""
REFUSALS = {"page_token": "PAGE_TOKEN_INVALID", "etag": "ETAG_MISMATCH"}


@dataclass(frozen=True)
class Case:
    """One field of one method."""

    method: Method
    slot: Slot

    def __str__(self):
        return f"{self.method} {self.slot.name}"

    @property
    def is_only_noted(self):
        """Whether the call goes on, whatever the field says, and may change one's own account."""
        return self.slot.is_inert or self.slot.kind == "request" or str(self) in ONLY_NOTED

    @property
    def is_look(self):
        return self.method.is_read and not self.is_only_noted


def cases():
    return [
        Case(method, slot)
        for method in methods()
        if str(method) not in OPEN
        for slot in method.naming()
    ]


def caller_for(tenant, method):
    """Somebody of the account who may call the method; who has as little power as that takes."""
    if method.level == "internal":
        return Caller.service(
            method.policy.callers[0], account_id=tenant.id, **tenant.account.scope
        )
    role = "developer" if method.level == "operate" else "owner"
    scope = {} if method.policy.needs_sector else {"site_id": "", "sector_id": ""}
    return tenant.caller(role, **scope)


class Trial:
    """Calls with one field filled in several ways."""

    def __init__(self, ground, *, over_rest):
        self.ground = ground
        self.over_rest = over_rest

    async def answer(self, case, value):
        """The answer of a call that has this value in the field of the case."""
        tenant, method = self.ground.trying, case.method
        put = {case.slot.name: value}
        if case.slot.kind == "page_token":
            put["page_size"] = 1
        # For an idempotency key refused for what it is about: only a repetition would be answered.
        repeats = case.slot.kind == "request"
        names = of_nobody(method) if repeats else of_tenant(tenant, method)
        filled = fields(method, names, put)
        if not self.over_rest:
            return await self.ground.wire.call(
                method, filled, caller_for(tenant, method), known=(value,)
            )
        role = "developer" if method.level == "operate" else "owner"
        scope = tenant.account.scope if method.policy.needs_sector else {}
        scope = {name: each for name, each in scope.items() if name != case.slot.path[-1]}
        return await self.ground.rest.call(
            method, filled, tenant.authorization(role), query=scope, known=(value,)
        )

    async def faults(self, case):
        """What is wrong with the answers, in words."""
        return [fault async for fault in self._faults(case)]

    async def _faults(self, case):
        kind = case.slot.kind
        foreign_value = of_tenant(self.ground.other, case.method)[kind]
        if kind == "request":
            foreign_value = self.ground.other.things[kind]
        unknown_value = UNKNOWN[kind](foreign_value) if kind in UNKNOWN else unknown_of(kind)
        unknown = await self.answer(case, unknown_value)
        foreign = await self.answer(case, foreign_value)
        if case.is_only_noted:
            if foreign.code != unknown.code:
                yield f"foreign: {foreign}; unknown: {unknown}"
            if case.slot.is_inert and foreign_value in foreign.raw:
                yield f"what only the service sets was taken: {foreign}"
            return
        if foreign.said != unknown.said:
            yield f"foreign: {foreign}; unknown: {unknown}"
        if not self.is_about(case, foreign):
            yield f"was not refused for this field: {foreign}"
        if case.is_look:
            own = await self.answer(case, of_tenant(self.ground.trying, case.method)[kind])
            if own.code != "OK" or own.said == foreign.said:
                yield f"one's own was not told from an unknown one: {own}"

    def is_about(self, case, answer):
        """Whether an answer is about the field, so that equal ones say something."""
        if case.is_look and answer.code == "OK":
            return True
        last = case.slot.path[-1]
        named = [fault.rpartition(".")[2].partition("[")[0] for fault in answer.faults]
        return answer.code == REFUSALS.get(case.slot.kind, "NOT_FOUND") or (
            answer.code == "INVALID_FIELDS" and named == [last]
        )


@pytest.mark.parametrize("over_rest", [True, False], ids=["rest", "grpc"])
async def test_a_foreign_id_is_answered_as_an_unknown_one_and_changes_nothing(ground, over_rest):
    chosen = [
        case for case in cases() if not case.is_only_noted and (case.method.verb or not over_rest)
    ]
    before = await ground.state(ground.trying, ground.other)
    faults = await faults_of(chosen, Trial(ground, over_rest=over_rest).faults)
    require_none(faults, difference(before, await ground.state(ground.trying, ground.other)))


async def test_a_foreign_id_that_is_only_noted_leads_nowhere(ground):
    before = await ground.state(ground.other)
    for over_rest in (True, False):
        trial = Trial(ground, over_rest=over_rest)
        chosen = [
            case for case in cases() if case.is_only_noted and bool(case.method.verb) == over_rest
        ]
        require_none(await faults_of(chosen, trial.faults))
    require_none(difference(before, await ground.state(ground.other)))
