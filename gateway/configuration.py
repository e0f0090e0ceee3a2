"""What the gateway's variables mean to its rooms; what cannot be understood names its variable."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, ip_network

from chassis.settings import Settings, SettingsError, told_as
from gateway.admission.cors import ListedOrigins, Origins
from gateway.admission.counters import counter_for
from gateway.admission.throttles import Throttles, per_minute
from gateway.http.origins import normal_origin
from gateway.http.server import listening_socket
from gateway.streams.hub import StreamBounds
from gateway.streams.session import Pace

STREAM_PACE_MIN_S = 0.1


def listening(settings: Settings) -> socket.socket:
    """The socket of the REST API. Raises SettingsError."""
    inherited = settings.extra("WRITER_LISTEN_FD")
    return _bound("WRITER_LISTEN", settings.listen, inherited, reuse_port=settings.reuse_port)


def metrics_listening(settings: Settings) -> socket.socket | None:
    """The socket of the metrics, if they are wanted. Raises SettingsError."""
    address = settings.extra("WRITER_METRICS_LISTEN")
    return _bound("WRITER_METRICS_LISTEN", address) if address else None


def public_url(settings: Settings) -> str:
    """Where clients reach the gateway; empty where they say so themselves. Raises SettingsError.

    The root of an origin, spelt as browsers do: the reference page and its links are there.
    """
    url = settings.extra("WRITER_PUBLIC_URL").strip().rstrip("/")
    origin = normal_origin(url) if url else ""
    if origin is None:
        raise SettingsError("WRITER_PUBLIC_URL is no origin such as https://writer.example.com")
    return origin


def trusted_proxies(settings: Settings) -> str:
    """Addresses and networks of proxies that say who asks; `*` for all. Raises SettingsError."""
    listed = settings.extra("WRITER_TRUSTED_PROXIES").split(",")
    proxies = [each for each in map(str.strip, listed) if each]
    if proxies == ["*"]:
        return "*"
    with told_as("WRITER_TRUSTED_PROXIES"):
        networks = [ip_network(each) for each in proxies]
    # Who comes over IPv4 to a socket of IPv6 has such an address.
    mapped = [
        f"::ffff:{network.network_address}/{96 + network.prefixlen}"
        for network in networks
        if isinstance(network, IPv4Network)
    ]
    return ",".join([*map(str, networks), *mapped])


def origins(settings: Settings, of_accounts: Origins | None = None) -> ListedOrigins:
    """The origins that every account allows, and those of each. Raises SettingsError."""
    listed = settings.extra("WRITER_ALLOWED_ORIGINS").split(",")
    with told_as("WRITER_ALLOWED_ORIGINS"):
        return ListedOrigins(filter(None, map(str.strip, listed)), of_accounts)


def throttles(settings: Settings) -> Throttles:
    """The limits, and where they are counted. Raises SettingsError."""
    with told_as("WRITER_THROTTLES"):
        limits = per_minute(settings.extra("WRITER_THROTTLES"))
    with told_as("WRITER_REDIS_URL"):
        return Throttles(counter_for(settings.extra("WRITER_REDIS_URL")), limits)


def stream_bounds(settings: Settings) -> StreamBounds:
    """How many may listen at once. Raises SettingsError."""
    usual = StreamBounds()
    return StreamBounds(
        streams_max=settings.whole_number("WRITER_STREAMS_MAX", usual.streams_max, minimum=0),
        account_streams_max=settings.whole_number(
            "WRITER_STREAMS_OF_ACCOUNT_MAX", usual.account_streams_max, minimum=1
        ),
    )


def stream_pace(settings: Settings) -> Pace:
    """How often a stream says that it lives, and asks who listens. Raises SettingsError."""
    usual = Pace()
    return Pace(
        heartbeat_s=settings.number(
            "WRITER_STREAM_HEARTBEAT_S", usual.heartbeat_s, minimum=STREAM_PACE_MIN_S
        ),
        recheck_s=settings.number(
            "WRITER_STREAM_RECHECK_S", usual.recheck_s, minimum=STREAM_PACE_MIN_S
        ),
    )


def _bound(
    variable: str, address: str, inherited_fd: str = "", *, reuse_port: bool = False
) -> socket.socket:
    try:
        return listening_socket(address, inherited_fd, reuse_port=reuse_port)
    except (ValueError, OverflowError) as error:
        raise SettingsError(f"{variable} is not host:port: {address!r}") from error
    except OSError as error:
        raise SettingsError(f"{variable}: {address}: {error.strerror}") from error
