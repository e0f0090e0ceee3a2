"""Variables of the gateway: what they mean, and which one is named when it means nothing."""

import socket

import pytest
from uvicorn.middleware.proxy_headers import _TrustedHosts

from chassis.settings import Settings, SettingsError
from gateway import configuration
from gateway.admission.counters import MemoryCounter, SharedCounter
from gateway.admission.throttles import PER_MINUTE

NEEDED = ("LISTEN", "DATABASE_URL", "NATS_URL", "SIGNING_KEY", "TRUSTED_KEYS")


def settings(**variables):
    return Settings.from_env("gateway", {f"WRITER_{name}": "x" for name in NEEDED} | variables)


@pytest.mark.parametrize(
    ("variables", "read"),
    [
        ({"WRITER_ALLOWED_ORIGINS": "https://a.example, *"}, configuration.origins),
        ({"WRITER_THROTTLES": "writer=5"}, configuration.throttles),
        ({"WRITER_REDIS_URL": "http://user:word@host:1"}, configuration.throttles),
        ({"WRITER_PUBLIC_URL": "writer.example.com"}, configuration.public_url),
        ({"WRITER_PUBLIC_URL": "https://[::1"}, configuration.public_url),
        ({"WRITER_PUBLIC_URL": "https://:8000"}, configuration.public_url),
        ({"WRITER_PUBLIC_URL": "https://h:99999"}, configuration.public_url),
        ({"WRITER_PUBLIC_URL": "https://h/?x=1"}, configuration.public_url),
        ({"WRITER_PUBLIC_URL": "https://h/writer"}, configuration.public_url),
        ({"WRITER_PUBLIC_URL": "https://user:word@h"}, configuration.public_url),
        ({"WRITER_TRUSTED_PROXIES": "127.0.0.1/33"}, configuration.trusted_proxies),
        ({"WRITER_TRUSTED_PROXIES": "10.0.0.1, proxy"}, configuration.trusted_proxies),
        ({"WRITER_TRUSTED_PROXIES": "*, 10.0.0.1"}, configuration.trusted_proxies),
        ({"WRITER_METRICS_LISTEN": "9100"}, configuration.metrics_listening),
        ({"WRITER_LISTEN": "127.0.0.1:99999"}, configuration.listening),
    ],
)
def test_a_variable_that_means_nothing_is_named(variables, read):
    (variable,) = variables
    with pytest.raises(SettingsError, match=variable) as caught:
        read(settings(**variables))
    assert "word" not in str(caught.value)


async def test_what_is_not_set_has_its_default():
    bare = settings()
    assert configuration.metrics_listening(bare) is None
    assert not await configuration.origins(bare).is_known("https://a.example")
    throttles = configuration.throttles(bare)
    assert throttles._per_minute == PER_MINUTE
    assert isinstance(throttles._counter, MemoryCounter)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("", ""),
        (" https://writer.example.com/ ", "https://writer.example.com"),
        ("HTTPS://Writer.Example.com:443", "https://writer.example.com"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://writer_gateway:8000", "http://writer_gateway:8000"),
    ],
)
def test_links_begin_as_browsers_spell_it(url, base):
    assert configuration.public_url(settings(WRITER_PUBLIC_URL=url)) == base


@pytest.mark.parametrize(
    ("listed", "trusted", "strangers"),
    [
        ("", (), ("127.0.0.1",)),
        (" * ", ("10.9.9.9", "::1"), ()),
        (" 10.0.0.1 ,, 10.1.0.0/16,::1", ("10.0.0.1", "::ffff:10.1.2.3", "::1"), ("10.0.0.2", "*")),
    ],
)
def test_the_server_believes_whom_the_list_means(listed, trusted, strangers):
    proxies = configuration.trusted_proxies(settings(WRITER_TRUSTED_PROXIES=listed))
    hosts = _TrustedHosts(proxies)
    assert [each in hosts for each in trusted] == [True] * len(trusted)
    assert [each in hosts for each in strangers] == [False] * len(strangers)


async def test_what_is_set_counts():
    full = settings(
        WRITER_ALLOWED_ORIGINS=" https://A.example:443 ,,https://b.example",
        WRITER_THROTTLES="login=50",
        WRITER_REDIS_URL="redis://127.0.0.1:1/2",
        WRITER_METRICS_LISTEN="127.0.0.1:0",
    )
    origins = configuration.origins(full)
    assert await origins.is_known("https://a.example")
    assert await origins.is_known("https://b.example")
    throttles = configuration.throttles(full)
    assert throttles._per_minute["login"] == 50
    assert isinstance(throttles._counter, SharedCounter)
    with configuration.metrics_listening(full) as opened:
        assert opened.getsockname()[1] > 0


def test_gateways_share_a_port_when_they_are_told_to():
    shared = {"WRITER_REUSE_PORT": "1"}
    with configuration.listening(settings(WRITER_LISTEN="127.0.0.1:0", **shared)) as first:
        address = "{}:{}".format(*first.getsockname())
        with configuration.listening(settings(WRITER_LISTEN=address, **shared)) as second:
            assert second.getsockname() == first.getsockname()
        # Nobody is held by a process that cannot answer yet.
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(first.getsockname())
        first.listen()
        with pytest.raises(
            SettingsError, match=f"WRITER_LISTEN: {address}: Address already in use"
        ):
            configuration.listening(settings(WRITER_LISTEN=address))
