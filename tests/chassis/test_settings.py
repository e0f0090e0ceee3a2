"""Settings: what is missing or misspelt is named, and secrets are not shown."""

import pytest

from chassis.settings import Settings, SettingsError

WHOLE = {
    "WRITER_LISTEN": "127.0.0.1:0",
    "WRITER_DATABASE_URL": "postgresql://writer:hunter2@db/tasks",
    "WRITER_NATS_URL": "nats://tasks:hunter2@nats:4222",
    "WRITER_SIGNING_KEY": "/keys/tasks.pem",
    "WRITER_TRUSTED_KEYS": "/keys/trusted.json",
}


def settings(**variables):
    return Settings.from_env("tasks", WHOLE | variables)


def test_what_must_differ_is_enough():
    found = settings()
    assert found.listen == "127.0.0.1:0"
    assert (found.ack_wait_s, found.deliveries_max, found.log_level) == (30.0, 6, "INFO")
    assert (found.migrate, found.reuse_port, found.peers) == (False, False, {})


@pytest.mark.parametrize("variable", WHOLE)
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_missing_is_named(variable, value):
    variables = {k: v for k, v in WHOLE.items() if k != variable}
    if value is not None:
        variables[variable] = value
    with pytest.raises(SettingsError, match=f"^{variable} is not set$"):
        Settings.from_env("tasks", variables)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WRITER_ACK_WAIT_S", "soon"),
        ("WRITER_ACK_WAIT_S", "0"),
        ("WRITER_ACK_WAIT_S", "nan"),
        ("WRITER_ACK_WAIT_S", "inf"),
        ("WRITER_MAX_DELIVERIES", "0"),
        ("WRITER_MAX_DELIVERIES", "-1"),
        ("WRITER_MAX_DELIVERIES", "2.5"),
        ("WRITER_MIGRATE", "true"),
        ("WRITER_REUSE_PORT", "yes"),
        ("WRITER_LOG_LEVEL", "LOUD"),
        ("WRITER_PEER_TASKS", "h:99999"),
        ("WRITER_PEER_TASKS", "h:0"),
    ],
)
def test_what_cannot_be_understood_is_named(variable, value):
    with pytest.raises(SettingsError, match=f"^{variable} "):
        settings(**{variable: value})


def test_what_is_set_counts():
    found = settings(
        WRITER_ACK_WAIT_S="1.5",
        WRITER_MAX_DELIVERIES="3",
        WRITER_MIGRATE="1",
        WRITER_REUSE_PORT="1",
        WRITER_LOG_LEVEL="warning",
        WRITER_PEER_BILLING="billing:9000",
        WRITER_PEER_IMAGES="",
    )
    assert (found.ack_wait_s, found.deliveries_max, found.log_level) == (1.5, 3, "WARNING")
    assert (found.migrate, found.reuse_port) == (True, True)
    assert found.peers == {"billing": "billing:9000"}


@pytest.mark.parametrize(
    "address", ["billing", "unix:/run/x", "http://billing:9000", "billing:", ":1"]
)
def test_a_peer_that_is_no_host_and_port_is_named_at_once(address):
    with pytest.raises(SettingsError, match="WRITER_PEER_BILLING is not host:port"):
        settings(WRITER_PEER_BILLING=address)


@pytest.mark.parametrize("address", ["billing:9000", "127.0.0.1:1", "[::1]:9000", "a.b-c.svc:80"])
def test_a_peer_is_a_host_and_a_port(address):
    assert settings(WRITER_PEER_BILLING=address).peers == {"billing": address}


def test_a_room_reads_what_only_it_needs():
    found = settings(WRITER_TEXT_MODEL="small", WRITER_WORKERS="4", WRITER_EMPTY="", WRITER_BAD="x")
    assert found.extra("WRITER_TEXT_MODEL", "large") == "small"
    assert found.extra("WRITER_EMPTY", "default") == "default"
    assert found.number("WRITER_WORKERS", 1, minimum=1) == 4
    assert found.number("WRITER_EMPTY", 1, minimum=1) == 1
    with pytest.raises(SettingsError, match="WRITER_BAD"):
        found.number("WRITER_BAD", 1, minimum=1)


def test_secrets_are_not_shown():
    shown = repr(settings(OPENAI_API_KEY="hunter2"))
    assert "hunter2" not in shown
