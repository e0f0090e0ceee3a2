"""What our protocol overrides of uvicorn, and reads of it, is there: none of it is promised.

A name that is gone raises nothing where it was overridden: the bound behind it is just no more.
"""

import ast
import asyncio
import inspect
import textwrap

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.http.protocol import BoundedProtocol

OURS = [each for each in BoundedProtocol.__mro__ if each.__module__.startswith("gateway.")]
THEIRS = {"cycle": RequestResponseCycle, "_answering": RequestResponseCycle, "flow": FlowControl}
"""What uvicorn makes for a connection, by the names that our protocol has for it."""
UPGRADED = f"gateway/http/protocol.py counts on names that uvicorn {uvicorn.__version__} has not"


def attributes(*classes):
    """Every attribute in the code of the classes, and the last name of what it belongs to."""
    for each in classes:
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(each)))):
            if isinstance(node, ast.Attribute):
                owner = node.value.func if isinstance(node.value, ast.Call) else node.value
                yield getattr(owner, "attr", getattr(owner, "id", "")), node.attr, node.ctx


def read_of(owner):
    return {name for whose, name, _ in attributes(*OURS) if whose == owner}


def names_of(*classes):
    """What instances have: what stands in the class, and what its code sets on itself."""
    stored = attributes(*classes)
    own = {name for whose, name, how in stored if whose == "self" and isinstance(how, ast.Store)}
    return own.union(*(vars(each) for each in classes))


def missing(base):
    """What our protocol hands on to its base, overrides or reads, and this base does not have."""
    own = names_of(*OURS)
    taken = {name for name in own | read_of("self") if name not in own or name[0] != "_"}
    return (read_of("super") | taken) - names_of(base) - set(dir(asyncio.Protocol))


def test_every_name_that_the_protocol_takes_from_uvicorn_is_there():
    """What is public is taken from there: whatever ours adds begins with an underscore."""
    assert missing(HttpToolsProtocol) == set(), UPGRADED


@pytest.mark.parametrize("name", THEIRS)
def test_every_name_that_is_read_of_its_requests_is_there(name):
    assert read_of(name) - names_of(THEIRS[name]) == set(), UPGRADED


def test_a_name_that_goes_would_be_seen():
    taken = missing(asyncio.Protocol)
    assert {"_start_asgi_task", "_unset_keepalive_if_required", "on_response_complete"} < taken
    assert {"pipeline", "cycle", "timeout_keep_alive", "timeout_keep_alive_handler"} < taken
    assert {"disconnected", "message_event"} < read_of("_answering")
    assert "keep_alive" in read_of("cycle")
