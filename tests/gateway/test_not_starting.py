"""A gateway that cannot start says why in one sentence, which names what has to be changed."""

import socket

import pytest

from chassis import telemetry
from chassis.keys import create_keys
from gateway import __main__ as gateway

PEERS = ("TASKS", "CONTENT", "IMAGES", "BILLING")


@pytest.fixture
def sentence(monkeypatch, tmp_path):
    """What it says when it is run with some variables changed."""
    monkeypatch.setattr(telemetry, "set_up_logging", lambda *_: None)
    create_keys(tmp_path, ("gateway",))
    usual = {
        "WRITER_LISTEN": "127.0.0.1:0",
        "WRITER_DATABASE_URL": f"sqlite:///{tmp_path}/identity.db",
        "WRITER_MIGRATE": "1",
        "WRITER_NATS_URL": "nats://127.0.0.1:1",
        "WRITER_SIGNING_KEY": str(tmp_path / "gateway.pem"),
        "WRITER_TRUSTED_KEYS": str(tmp_path / "trusted.json"),
        **{f"WRITER_PEER_{peer}": "127.0.0.1:1" for peer in PEERS},
    }

    def run(**changes):
        for name, value in (usual | changes).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            gateway.main()
        [line] = str(caught.value).splitlines()
        assert line.startswith("gateway: ")
        return line

    return run


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("WRITER_DATABASE_URL", "mysql://user:hunter2@db/identity", "WRITER_DATABASE_URL"),
        ("WRITER_DATABASE_URL", "sqlite:////nowhere/hunter2.db", "cannot be migrated"),
        ("WRITER_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/i", "cannot be migrated"),
        ("WRITER_SIGNING_KEY", "/nowhere/gateway.pem", "WRITER_SIGNING_KEY"),
        ("WRITER_TRUSTED_KEYS", "/nowhere/trusted.json", "WRITER_TRUSTED_KEYS"),
        ("WRITER_PEER_TASKS", "", "WRITER_PEER_TASKS"),
        ("WRITER_PUBLIC_URL", "writer.example.com", "WRITER_PUBLIC_URL"),
        ("WRITER_TRUSTED_PROXIES", "10.0.0.0/33", "WRITER_TRUSTED_PROXIES"),
    ],
)
def test_it_says_in_one_sentence_what_is_wrong(sentence, variable, value, said):
    told = sentence(**{variable: value})
    assert said in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "variable", ["WRITER_LISTEN", "WRITER_IDENTITY_LISTEN", "WRITER_METRICS_LISTEN"]
)
def test_a_taken_address_is_named(sentence, variable):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        told = sentence(**{variable: address})
    assert variable in told
    assert address in told


def test_a_database_that_is_not_there_is_told_of_as_the_server_does(sentence, postgres):
    assert 'database "nosuch" does not exist' in sentence(
        WRITER_DATABASE_URL=postgres.url("nosuch")
    )
