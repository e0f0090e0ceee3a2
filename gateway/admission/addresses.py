"""Network addresses of clients, as those who count by them understand them."""

from __future__ import annotations

import ipaddress

IPV6_PREFIX = 64
"""One customer of a provider has at least so many addresses; they count as one."""


def address_key(client: str) -> str:
    """What counts as one address."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        # A Unix socket, or a proxy that names its client in words.
        return client
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)
