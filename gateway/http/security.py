"""The headers that every answer carries, whoever made it: what a browser may do with it.

An answer that knows better (a page, a public file) says so itself; what it has set stays.
"""

from __future__ import annotations

from gateway.http.answers import Headers

_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    # JSON is no page: nothing in it is run, nothing may be loaded, nobody frames it.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Answers are for one principal; whoever may be cached says so itself.
    (b"cache-control", b"no-store"),
]
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    """Fills in what an answer has not set."""

    def __init__(self, public_url: str = "") -> None:
        """HTTPS is demanded of browsers when clients are known to come that way."""
        self._headers = [*_ALWAYS, _HSTS] if public_url.startswith("https://") else _ALWAYS
        self._names = frozenset(name for name, _ in self._headers)

    def missing(self, headers: Headers) -> Headers:
        """The common headers that are not among these."""
        named = self._names.intersection([name for name, _ in headers])
        if not named:
            return self._headers
        return [header for header in self._headers if header[0] not in named]
