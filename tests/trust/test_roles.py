"""Every role at every RPC and route: what is declared is what counts, here and there.

The declaration is in the descriptor; which roles a level is for is written down here again, from
the domain's table, so that a change of either is seen. A refusal says nothing of what exists.
"""

from trust.contract import methods
from trust.filling import fields
from trust.matrix import faults_of, of_nobody, of_tenant, require_none, unknown_of
from trust.routes import STREAMS
from trust.world import KEY_ROLES, ROLES

from chassis.caller import GATEWAY, Caller
from standalone.prepare import ISSUERS

ADMINS = {"admin", "owner", "developer", "system_bot"}
ROLES_OF = {
    "public": set(ROLES),
    "read": set(ROLES),
    "write": ADMINS | {"editor"},
    "usage": ADMINS | {"editor"},
    "publish": ADMINS,
    "manage": ADMINS,
    "operate": {"developer", "system_bot"},
    "internal": set(),
}
"""Who may do what."""
NO_ROLE = ("ROLE_FORBIDDEN", "Your role does not allow this.")
NO_USER = ("ROLE_FORBIDDEN", "This method is for services only.")
NO_CALLER = ("ROLE_FORBIDDEN", "This service may not call this method.")
REFUSALS = {NO_ROLE, NO_USER, NO_CALLER}
NOBODY = {"UNAUTHENTICATED", "TOKEN_EXPIRED", "KEY_REVOKED"}
LAST = ("Logout",)
"""What ends the session that it is asked with."""

PROTECTED = [*(each for each in methods() if each.verb and each.level != "public"), *STREAMS]


def allowed(role, method):
    return role in ROLES_OF[method.level]


def values_of(ground, method):
    """One's own thing, another account's, and nobody's."""
    own = of_tenant(ground.trying, method)
    return own, of_tenant(ground.other, method), own | of_nobody(method)


def scopes_of(ground, method):
    """One's own site and sector, another account's, and nobody's, where they must be named."""
    if not method.policy.needs_sector:
        return {}, {}, {}
    nobodys = {name: unknown_of(name) for name in ("site_id", "sector_id")}
    return ground.trying.account.scope, ground.other.account.scope, nobodys


def faults(answers, refusal):
    """What is wrong with answers that must all be this refusal, and the same."""
    found = [str(each) for each in answers if (each.code, each.message) != refusal]
    if len({each.said for each in answers}) > 1:
        found.append(f"tells what exists: {[each.said for each in answers]}")
    return found


async def test_rest_refuses_the_roles_that_are_not_meant_and_tells_them_nothing(ground, untouched):
    people = {role: ground.trying.authorization(role) for role in ROLES}
    programs = {f"key of {role}": f"ApiKey {ground.trying.keys[role]}" for role in KEY_ROLES}

    async def find(case):
        method, name = case
        answers = [
            await ground.rest.call(
                method, fields(method, names), (people | programs)[name], query=scope
            )
            for names, scope in zip(
                values_of(ground, method), scopes_of(ground, method), strict=True
            )
        ]
        return faults(answers, NO_ROLE)

    chosen = [
        (method, name)
        for method in PROTECTED
        for name in (*people, *programs)
        if not allowed(name.removeprefix("key of "), method)
    ]
    require_none(await faults_of(chosen, find, lambda case: f"{case[0]} as {case[1]}"))


async def test_services_refuse_the_roles_that_are_not_meant_and_tell_them_nothing(
    ground, untouched
):
    async def find(case):
        method, role = case
        who = ground.trying.caller(role)
        answers = [
            await ground.wire.call(method, fields(method, names), who)
            for names in values_of(ground, method)
        ]
        return faults(answers, NO_USER if method.level == "internal" else NO_ROLE)

    chosen = [(m, role) for m in methods() for role in ROLES if not allowed(role, m)]
    require_none(await faults_of(chosen, find, lambda case: f"{case[0]} as {case[1]}"))


async def test_services_refuse_the_services_that_are_not_meant(ground, untouched):
    async def find(case):
        method, issuer = case
        who = Caller.service(issuer, account_id=ground.trying.id, **ground.trying.account.scope)
        answers = [
            await ground.wire.call(method, fields(method, names), who)
            for names in values_of(ground, method)
        ]
        return faults(answers, NO_CALLER)

    chosen = [
        (method, issuer)
        for method in methods()
        for issuer in ISSUERS
        # The gateway's own name counts as a role that nobody has.
        if issuer != GATEWAY and issuer not in method.policy.callers
    ]
    require_none(await faults_of(chosen, find, lambda case: f"{case[0]} by {case[1]}"))


def passes(answer):
    """What is wrong with an answer that must not be about who asks."""
    is_refused = answer.code in NOBODY or (answer.code, answer.message) in REFUSALS
    return [str(answer)] if is_refused else []


def in_turn(asked):
    """What keeps the sessions, and what ends them."""
    return [[case for case in asked if (case[0].name in LAST) == ends] for ends in (False, True)]


async def test_rest_lets_the_roles_pass_that_are_meant(ground):
    scope = ground.trying.account.scope
    # Sessions of their own, which a logout may end.
    logins = {role: await ground.login(ground.trying, role) for role in ROLES}

    async def find(case):
        method, role = case
        chosen = scope if method.policy.needs_sector else {}
        filled = fields(method, of_nobody(method))
        return passes(await ground.rest.call(method, filled, logins[role], query=chosen))

    asked = [(m, role) for m in PROTECTED if not m.is_stream for role in ROLES if allowed(role, m)]
    for part in in_turn(asked):
        require_none(await faults_of(part, find, lambda case: f"{case[0]} as {case[1]}"))


async def test_services_let_the_roles_and_services_pass_that_are_meant(ground):
    tenant = ground.trying
    people = {role: tenant.caller(role, await ground.login(tenant, role)) for role in ROLES}
    asked = [(m, people[role]) for m in methods() for role in ROLES if allowed(role, m)]
    asked += [
        (method, Caller.service(issuer, account_id=tenant.id, **tenant.account.scope))
        for method in methods()
        for issuer in method.policy.callers
    ]

    async def find(case):
        method, who = case
        # What is public begins sessions and accounts when it is complete.
        filled = {} if method.level == "public" else fields(method, of_nobody(method))
        return passes(await ground.wire.call(method, filled, who))

    for part in in_turn(asked):
        require_none(
            await faults_of(
                part, find, lambda case: f"{case[0]} as {case[1].role or case[1].issuer}"
            )
        )
