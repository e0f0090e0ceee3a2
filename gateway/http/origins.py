"""Web origins: scheme, host and port of a page, in the one spelling that browsers send."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from chassis.settings import PORT_MAX

_ORIGIN = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?|\[(?P<ipv6>[0-9a-f:.]{2,45})\])"
    r"(:(?P<port>[0-9]{1,5}))?"
)
_USUAL_PORTS = {"http": 80, "https": 443}


def normal_origin(text: str) -> str | None:
    """An origin as browsers spell it; None for what is none, and for `*`."""
    found = _ORIGIN.fullmatch(text.strip().lower())
    if found is None:
        return None
    scheme, port = found["scheme"], found["port"]
    host = found["host"] if found["ipv6"] is None else _bracketed(found["ipv6"])
    if host is None:
        return None
    if port is None or int(port) == _USUAL_PORTS[scheme]:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{int(port)}" if 0 < int(port) <= PORT_MAX else None


def _bracketed(text: str) -> str | None:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return None
    ipv4 = address.ipv4_mapped
    if ipv4 is None:
        return f"[{address.compressed}]"
    # Python writes these with dots since 3.13; browsers do not (URL standard, host serializing).
    return f"[::ffff:{int(ipv4) >> 16:x}:{int(ipv4) & 0xFFFF:x}]"
