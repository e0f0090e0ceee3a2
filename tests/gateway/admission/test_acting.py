"""Operators on other accounts, as their headers ask for it; and the keys that verify tokens."""

from dataclasses import replace

import pytest
from writer.identity.v1 import identity_pb2, sites_pb2

from chassis.errors import Forbidden

ME = "/api/v1/auth/me"
THERE = "0199aaaa-0000-7000-8000-0000000000ac"
ASK = {"X-Acting-Account": THERE, "X-Acting-Reason": "Ticket 7, für Ada"}


class Log:
    """Lets owners act, and keeps what they asked for."""

    def __init__(self):
        self.asked = []
        self.closed = set()

    async def act(self, principal, asked):
        self.asked.append(asked)
        return await self.confirm(principal, asked.account_id)

    async def confirm(self, principal, account_id):
        if principal.role != "owner" or account_id in self.closed:
            raise Forbidden("ROLE_FORBIDDEN", "No.")
        return replace(principal, account_id=account_id, acting_for=principal.account_id)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
async def stack(make_stack, log):
    async with make_stack("tasks", "identity", acting=log) as opened:
        opened.backend.answers["GetMe"] = identity_pb2.Me()
        yield opened


def encoded(headers):
    return {name: text.encode() for name, text in headers.items()}


async def test_a_service_is_told_for_whom_somebody_acts(stack, log):
    answer = await stack.client.get(ME, headers=encoded(ASK))
    assert answer.status_code == 200
    who = stack.backend.last.who
    assert (who.account_id, who.acting_for, who.principal) == (THERE, stack.account, "user:1")
    [asked] = log.asked
    assert (asked.account_id, asked.reason) == (THERE, "Ticket 7, für Ada")
    assert asked.method == "/writer.identity.v1.IdentityService/GetMe"
    assert asked.request_id == answer.headers["x-request-id"]
    assert asked.client_address == who.client_address == "127.0.0.1"


async def test_every_call_asks_anew_and_one_without_headers_is_ones_own(stack, log):
    for _ in range(2):
        await stack.client.get(ME, headers=encoded(ASK))
    await stack.client.get(ME)
    assert len(log.asked) == 2
    assert (stack.backend.last.who.account_id, stack.backend.last.who.acting_for) == (
        stack.account,
        "",
    )


async def test_who_may_not_act_is_refused_and_no_service_hears_of_it(stack):
    headers = encoded(ASK) | {"Authorization": b"ApiKey editor"}
    answer = await stack.client.get(ME, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert stack.backend.heard == []


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("X-Acting-Reason", [("X-Acting-Account", THERE.encode())]),
        ("X-Acting-Reason", [("X-Acting-Account", THERE.encode()), ("X-Acting-Reason", b" ")]),
        ("X-Acting-Reason", [("X-Acting-Account", THERE.encode()), ("X-Acting-Reason", b"\xff")]),
        (
            "X-Acting-Reason",
            [("X-Acting-Account", THERE.encode()), ("X-Acting-Reason", b"x" * 501)],
        ),
        ("X-Acting-Account", [("X-Acting-Account", b""), ("X-Acting-Reason", b"why")]),
        (
            "X-Acting-Account",
            [("X-Acting-Account", b"a"), ("X-Acting-Account", b"b"), ("X-Acting-Reason", b"why")],
        ),
    ],
)
async def test_a_wish_that_is_not_complete_is_refused_by_header(stack, log, name, sent):
    answer = await stack.client.get(ME, headers=sent)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])
    assert log.asked == stack.backend.heard == []


@pytest.mark.parametrize("ends", ["account", "role", ""])
async def test_who_acts_is_asked_again_once_the_body_is_there(stack, log, caplog, ends):
    caplog.set_level("INFO", "gateway.requests")

    async def body():
        yield b'{"name":'
        if ends == "account":
            log.closed.add(THERE)
        elif ends:
            known = stack.credentials.known
            known["Bearer owner"] = replace(known["Bearer owner"], role="admin")
        yield b'"New"}'

    stack.backend.answers["CreateSite"] = sites_pb2.Site(id="s")
    headers = encoded(ASK | {"Content-Type": "application/json"})
    answer = await stack.client.post("/api/v1/auth/sites", content=body(), headers=headers)
    assert answer.status_code == (403 if ends else 201)
    told = [(each.who.account_id, each.who.acting_for) for each in stack.backend.heard]
    assert told == ([] if ends else [(THERE, stack.account)])
    assert len(log.asked) == 1
    if not ends:
        assert caplog.records[-1].account_id == THERE


async def test_nobody_acts_where_nobody_is_known(stack, log):
    answer = await stack.client.post("/api/v1/auth/login", headers=encoded(ASK), json={})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["X-Acting-Account"])
    assert log.asked == stack.backend.heard == []


async def test_only_identity_is_told_where_a_client_sits(stack, task):
    stack.backend.answers["GetTask"] = task
    await stack.client.get(f"/api/v1/writer/tasks/{task.id}")
    assert "x-client-address" not in dict(stack.backend.last.metadata)
    await stack.client.get(ME)
    assert dict(stack.backend.last.metadata)["x-client-address"] == "127.0.0.1"


async def test_the_public_keys_are_there_for_whoever_verifies_tokens(make_stack):
    document = b'{"keys": [{"kid": "k1"}]}'
    async with make_stack("identity", jwks=lambda: document) as stack:
        answer = await stack.client.get("/.well-known/jwks.json", headers={"Authorization": ""})
    assert (answer.status_code, answer.content) == (200, document)
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=300"
