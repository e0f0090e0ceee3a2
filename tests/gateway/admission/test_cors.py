"""Pages of other origins: preflights, actual requests, and who may not."""

import httpx
import pytest
from writer.identity.v1 import identity_pb2

from gateway.admission.cors import CachedOrigins, ListedOrigins

APP, OTHER, NOBODY = "https://app.example", "https://other.example", "https://evil.example"
TASKS = "/api/v1/writer/tasks"
TASK = f"{TASKS}/x"
LOGIN = "/api/v1/auth/login"
OUT = "access-control-allow-origin"


class PerAccount:
    """Each account with its own origins, as identity knows them."""

    def __init__(self, **by_account):
        self.by_account = by_account
        self.asked = 0

    async def is_known(self, origin):
        self.asked += 1
        return any(origin in origins for origins in self.by_account.values())

    async def allows(self, account_id, origin):
        self.asked += 1
        return origin in self.by_account.get(account_id, ())


@pytest.fixture
def origins():
    return PerAccount(**{"0199aaaa-0000-7000-8000-000000000001": [APP], "another": [OTHER]})


@pytest.fixture
async def stack(make_stack, origins):
    async with make_stack("tasks", "identity", "images", origins=origins) as opened:
        yield opened


def preflight(origin, verb="GET"):
    return {"Origin": origin, "Access-Control-Request-Method": verb}


@pytest.mark.parametrize("origin", [APP, OTHER])
async def test_a_preflight_passes_for_an_origin_of_any_account(client, backend, origin):
    answer = await client.options(TASK, headers=preflight(origin))
    assert answer.status_code == 204
    assert answer.headers[OUT] == origin
    assert answer.headers["access-control-allow-methods"] == "GET"
    assert "if-match" in answer.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    assert "Origin" in answer.headers["vary"]
    assert backend.heard == []


@pytest.mark.parametrize(
    "origin",
    [NOBODY, "null", "", "https://app.example.evil.example", f"{APP}/", "HTTPS://APP.EXAMPLE"],
)
async def test_a_preflight_of_any_other_origin_is_refused(client, origin):
    answer = await client.options(TASK, headers=preflight(origin))
    assert answer.status_code == 403
    assert answer.json()["code"] == "ORIGIN_FORBIDDEN"
    assert OUT not in answer.headers


@pytest.mark.parametrize(("path", "verb", "status"), [("/nope", "GET", 404), (TASK, "PUT", 405)])
async def test_a_preflight_for_what_does_not_exist_says_so(client, path, verb, status):
    answer = await client.options(path, headers=preflight(APP, verb))
    assert answer.status_code == status


async def test_a_page_of_the_account_reads_the_answer_and_its_headers(client, backend, task):
    backend.answers["GetTask"] = task
    answer = await client.get(TASK, headers={"Origin": APP})
    assert answer.status_code == 200
    assert answer.headers[OUT] == APP
    assert "etag" in answer.headers["access-control-expose-headers"].lower()


async def test_a_page_of_another_account_is_refused_before_anything_is_done(client, backend):
    answer = await client.get(TASK, headers={"Origin": OTHER})
    assert answer.status_code == 403
    assert answer.json()["code"] == "ORIGIN_FORBIDDEN"
    assert OUT not in answer.headers
    assert backend.heard == []


async def test_refusals_can_be_read_by_the_page_as_well(stack):
    answer = await stack.client.get(TASK, headers={"Origin": APP, "Authorization": "Bearer no"})
    assert (answer.status_code, answer.headers[OUT]) == (401, APP)


async def test_a_public_method_is_for_the_pages_of_accounts(client, backend):
    backend.answers["Login"] = identity_pb2.Session()
    body = {"email": "a@b.example", "password": "x"}
    answer = await client.post(LOGIN, json=body, headers={"Origin": OTHER})
    assert (answer.status_code, answer.headers[OUT]) == (200, OTHER)
    answer = await client.post(LOGIN, json=body, headers={"Origin": NOBODY})
    assert (answer.status_code, len(backend.heard)) == (403, 1)


async def test_our_own_pages_are_no_other_origin(make_stack, task):
    async with make_stack("tasks", public_url="https://writer.example") as stack:
        stack.backend.answers["GetTask"] = task
        for own in ("https://writer.example", "http://gateway.test"):
            answer = await stack.client.get(TASK, headers={"Origin": own})
            assert (answer.status_code, OUT in answer.headers) == (200, False)
    async with make_stack("tasks") as stack:
        stack.backend.answers["GetTask"] = task
        answer = await stack.client.get(TASK, headers={"Origin": "http://gateway.test"})
        assert answer.status_code == 200


async def test_pictures_are_for_pages_of_any_origin(stack, picture):
    _, stack.backend.answers["GetImageFile"] = picture
    file = "/api/v1/writer/images/p/file"
    assert (await stack.client.get(file, headers={"Origin": NOBODY})).headers[OUT] == "*"
    answer = await stack.client.options(file, headers=preflight(NOBODY))
    assert (answer.status_code, answer.headers[OUT]) == (204, "*")


@pytest.mark.parametrize("origin", [NOBODY, APP])
@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/api/openapi.json"])
async def test_what_is_the_same_for_everyone_is_for_pages_of_any_origin(stack, path, origin):
    client = stack.client
    preflighted = await client.options(path, headers=preflight(origin))
    answer = await client.get(path, headers={"Origin": origin})
    assert [(a.status_code, a.headers[OUT]) for a in (preflighted, answer)] == [
        (204, "*"),
        (200, "*"),
    ]
    # What is kept for one page, or for none, does for all.
    assert "origin" not in answer.headers.get("vary", "").lower()
    assert (await client.get(path)).headers[OUT] == "*"


async def test_whether_the_gateway_is_ready_is_not_for_pages_of_any_origin(client):
    assert OUT not in (await client.get("/readyz", headers={"Origin": NOBODY})).headers
    assert (await client.options("/readyz", headers=preflight(NOBODY))).status_code == 403


async def test_a_page_of_any_origin_may_ask_for_parts_of_a_picture(stack, picture):
    _, stack.backend.answers["GetImageFile"] = picture
    file = "/api/v1/writer/images/p/file"
    asked = await stack.client.options(file, headers=preflight(NOBODY))
    allowed = asked.headers["access-control-allow-headers"].split(", ")
    assert {"Range", "If-Range"} <= {*allowed}
    part = await stack.client.get(file, headers={"Origin": NOBODY, "Range": "bytes=0-3"})
    exposed = part.headers["access-control-expose-headers"].split(", ")
    assert (part.status_code, {"Content-Range", "Accept-Ranges"} <= {*exposed}) == (206, True)


async def test_an_origin_twice_is_refused(client):
    headers = [("Authorization", "Bearer owner"), ("Origin", APP), ("Origin", NOBODY)]
    assert (await client.get(TASK, headers=headers)).status_code == 400


async def test_without_an_origin_nothing_is_said(stack, task):
    stack.backend.answers["GetTask"] = task
    transport = httpx.ASGITransport(stack.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        answer = await client.get(TASK, headers={"Authorization": "Bearer owner"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        plain = await client.options(TASK)
        assert (plain.status_code, plain.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        assert not [name for name in plain.headers if name.startswith("access-control")]


@pytest.mark.parametrize("listed", ["app.example", f"{APP}/", "*", "ftp://a.example", "null"])
def test_a_listed_origin_is_one_that_a_browser_sends(listed):
    with pytest.raises(ValueError, match="is not an origin"):
        ListedOrigins([APP, listed])


async def test_listed_origins_are_for_every_account_and_others_know_the_rest():
    origins = ListedOrigins([APP, "HTTP://[0:0::1]:3000"], PerAccount(a=[OTHER]))
    assert await origins.allows("anyone", APP)
    assert await origins.is_known("http://[::1]:3000")
    assert await origins.is_known(OTHER)
    assert await origins.allows("a", OTHER)
    assert not await origins.allows("b", OTHER)
    assert not await ListedOrigins([APP]).is_known(OTHER)


async def test_what_accounts_allow_is_asked_once_until_they_change():
    accounts = PerAccount(a=[APP])
    origins = CachedOrigins(accounts)
    for _ in range(3):
        assert await origins.allows("a", APP)
        assert not await origins.allows("b", APP)
        assert await origins.is_known(APP)
    assert accounts.asked == 3
    accounts.by_account["a"] = []
    assert await origins.allows("a", APP)
    origins.forget("a")
    assert not await origins.allows("a", APP)


async def test_an_origin_that_was_refused_is_greeted_as_soon_as_it_is_allowed():
    accounts = PerAccount(a=[])
    origins = CachedOrigins(accounts)
    assert not await origins.is_known(APP)
    assert not await origins.allows("a", APP)
    accounts.by_account["a"] = [APP]
    origins.forget("a")
    assert await origins.is_known(APP)
    assert await origins.allows("a", APP)


async def test_an_origin_that_is_withdrawn_while_the_body_comes_is_refused(stack, origins):
    async def body():
        yield b"{"
        origins.by_account[stack.account] = []
        yield b"}"

    headers = {"Origin": APP, "Content-Type": "application/json"}
    answer = await stack.client.post(TASKS, content=body(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "ORIGIN_FORBIDDEN")
    assert stack.backend.heard == []
