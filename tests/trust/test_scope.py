"""Another account's ids beside the request: in headers, in the query, and as the one to act on."""

import json

import pytest
from trust.contract import methods
from trust.filling import fields
from trust.matrix import faults_of, of_nobody, of_tenant, require_none, unknown_of
from trust.routes import BESIDE, STREAMS

PLACES = {
    "header X-Site-Id": ("site", lambda value: ({"X-Site-Id": value}, {})),
    "header X-Sector-Id": ("sector", lambda value: ({"X-Sector-Id": value}, {})),
    "query site_id": ("site", lambda value: ({}, {"site_id": value})),
    "query sector_id": ("sector", lambda value: ({}, {"sector_id": value})),
    "header X-Acting-Account": (
        "account",
        lambda value: ({"X-Acting-Account": value, "X-Acting-Reason": "Because"}, {}),
    ),
}
"""Where ids stand that no contract declares, what they name, and how to put them there."""
CHOSEN = {"site": "site_id", "sector": "sector_id"}
REASONS = {"INVALID_FIELDS", "ROLE_FORBIDDEN"}
CONDITIONS = ("If-Match", "If-None-Match")
BY_SITE = {
    # Money belongs to no site: who reads the balance may read where it came from; prices are all's.
    "GrantService.ListGrants": "OK",
    "PriceService.ListCostVersions": "OK",
    # Lists and things of its own sites; the others are not there.
    "BudgetService.ListBudgets": "OK",
    "BudgetService.GetBudget": "NOT_FOUND",
    "BudgetService.UpdateBudget": "NOT_FOUND",
    "BudgetService.DeleteBudget": "NOT_FOUND",
    "IdentityService.ListApiKeys": "OK",
    "IdentityService.RevokeApiKey": "NOT_FOUND",
    "IdentityService.RotateApiKey": "NOT_FOUND",
}
"""What is answered to a program of another site instead of SITE_FORBIDDEN."""
PROTECTED = [*(each for each in methods() if each.verb and each.level != "public"), *STREAMS]


async def test_a_foreign_scope_is_answered_as_an_unknown_one(ground, untouched):
    tenant = ground.trying

    async def find(case):
        method, place = case
        kind, put = PLACES[place]
        answers = []
        for value in (ground.other.things[kind], unknown_of(kind)):
            headers, query = put(value)
            scope = dict(tenant.account.scope) if method.policy.needs_sector else {}
            scope.pop(CHOSEN.get(kind), None)
            filled = fields(method, of_tenant(tenant, method))
            authorization = tenant.authorization("owner")
            answer = await ground.rest.call(
                method, filled, authorization, query=scope | query, headers=headers, known=(value,)
            )
            answers.append(answer)
        foreign, unknown = answers
        # A stream is of a site or of a run; what else is named is nothing to it.
        ignored = method.is_stream and (kind == "sector" or "{" in method.template)
        expected = REASONS | ({"OK"} if ignored else set())
        equal = foreign.said == unknown.said and foreign.code in expected
        return [] if equal else [f"foreign: {foreign}; unknown: {unknown}"]

    chosen = [(method, place) for method in PROTECTED for place in PLACES]
    require_none(await faults_of(chosen, find, lambda case: f"{case[0]} {case[1]}"))


@pytest.mark.parametrize("condition", CONDITIONS)
async def test_a_revision_does_not_tell_that_a_foreign_thing_exists(ground, condition, untouched):
    """Neither the right revision nor a wrong one is compared before it is known whose it is."""
    tenant = ground.trying

    async def find(method):
        answers = {}
        others = of_tenant(ground.other, method)
        for revision in ("*", '"999"', others["etag"] or '"1"'):
            for whose, names in (("foreign", others), ("unknown", of_nobody(method))):
                path = {name: names[slot_of(method, name).kind] for name in method.path_names}
                filled = fields(method, of_tenant(tenant, method)) | path
                filled.pop("etag", None)
                role = "developer" if method.level == "operate" else "owner"
                answers[whose] = await ground.rest.call(
                    method,
                    filled,
                    tenant.authorization(role),
                    headers={condition: revision},
                    known=tuple(path.values()),
                )
            if answers["foreign"].said != answers["unknown"].said:
                yield f"{revision}: {answers}"

    async def listed(method):
        return [fault async for fault in find(method)]

    # Operators decide about every account.
    chosen = [
        each for each in PROTECTED if "{" in each.template and "accounts" not in each.template
    ]
    require_none(await faults_of(chosen, listed))


def slot_of(method, name):
    """The slot of a request that the address fills."""
    return next(slot for slot in method.slots if slot.path == (name,))


@pytest.fixture
async def limited(ground):
    """The `Authorization` of a program that manages, and may touch one of several sites."""
    tenant = ground.trying
    site_id = tenant.account.scope["site_id"]
    made = await ground.http.request(
        "POST",
        "/api/v1/auth/api_keys",
        body={"name": "limited", "role": "admin", "limited_site_id": site_id},
        headers={"Authorization": tenant.authorization("owner")},
    )
    return f"ApiKey {json.loads(made.text)['data']['key']}"


async def test_a_program_of_one_site_manages_nothing_of_the_account(ground, limited, untouched):
    """Each method that manages refuses it, or is listed with what it is let do."""
    tenant = ground.trying

    async def find(method):
        filled = fields(method, of_tenant(tenant, method))
        answer = await ground.rest.call(method, filled, limited)
        expected = BY_SITE.get(str(method), "SITE_FORBIDDEN")
        return [] if answer.code == expected else [f"{answer} is not {expected}"]

    chosen = [each for each in PROTECTED if each.level in ("manage", "publish")]
    assert set(BY_SITE) <= {str(each) for each in chosen}
    require_none(await faults_of(chosen, find))


async def test_every_route_of_the_gateway_is_known(ground):
    described = await ground.http.request("GET", "/api/openapi.json")
    served = set(json.loads(described.text)["paths"])
    declared = {method.template for method in methods() if method.verb}
    assert declared <= served
    assert served - declared == set(BESIDE)


async def test_what_everybody_may_have_needs_no_credential_and_streams_do(ground):
    image = ground.other.things["image"]
    for template, level in BESIDE.items():
        status = (await ground.http.request("GET", template.format(id=image))).status
        # There is no file yet, and whoever asks is told so.
        assert status in ({200, 404} if level == "public" else {401}), template
