"""What the services are told about who asks."""

from __future__ import annotations

from functools import lru_cache

from chassis.caller import Caller
from gateway.admission.principals import Principal, Scope

GATEWAY = "gateway"
CALLERS_MAX = 1_000
"""Callers that are made once for many requests."""


@lru_cache(maxsize=CALLERS_MAX)
def caller_of(principal: Principal, scope: Scope) -> Caller:
    """The caller that every service sees."""
    return Caller(
        issuer=GATEWAY,
        principal=principal.principal,
        account_id=principal.account_id,
        role=principal.role,
        site_id=scope.site_id,
        sector_id=scope.sector_id,
        sector_name=scope.sector_name,
        allowed_sites=principal.allowed_sites,
        acting_for=principal.acting_for,
        session_id=principal.session_id,
        key_prefix=principal.key_prefix,
    )
