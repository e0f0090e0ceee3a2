"""Access tokens: what a user's browser or script carries for a quarter of an hour.

The process's own key, which may sign them, also signs caller tokens; so what keeps the two apart
is checked on every use: another audience and another `typ`. Only our own keys count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from chassis import clock
from gateway.identity.domain import User
from gateway.identity.errors import InvalidCredential, TokenExpired
from gateway.identity.signing_keys import SigningKeys

AUDIENCE = "writer-web"
TYPE = "at+jwt"
"""Header of access tokens (RFC 9068); caller tokens have another."""
LIFE = timedelta(minutes=15)
_ALGORITHM = "EdDSA"
_USER = "user:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified access token says. The role is left out: the user's row knows it better."""

    user_id: str
    account_id: str
    session_id: str
    expire_time: datetime


class AccessTokens:
    """Mints and verifies access tokens of one issuer."""

    def __init__(self, issuer: str, keys: SigningKeys) -> None:
        self._issuer = issuer
        self._keys = keys

    def mint(self, user: User, session_id: str) -> str:
        """A token for a session of this user that works for LIFE."""
        now = clock.now()
        signing = self._keys.current
        return jwt.encode(
            {
                "iss": self._issuer,
                "aud": AUDIENCE,
                "sub": f"{_USER}{user.id}",
                "iat": int(now.timestamp()),
                "exp": int((now + LIFE).timestamp()),
                "account": user.account_id,
                "role": user.role.value,
                "sid": session_id,
            },
            signing.key,
            algorithm=_ALGORITHM,
            headers={"kid": signing.kid, "typ": TYPE},
        )

    def verify(self, token: str) -> Claims:
        """What the token says. Raises InvalidCredential or TokenExpired."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != TYPE:
                raise InvalidCredential
            key = self._keys.public(header["kid"])
            if key is None:
                raise InvalidCredential
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                # Time is the chassis' clock, which the library does not ask.
                options={
                    "require": ["exp", "iat", "aud", "iss", "sub"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            subject, account_id, session_id = claims["sub"], claims["account"], claims["sid"]
            expire_time = datetime.fromtimestamp(claims["exp"], UTC)
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError):
            # From None: the library's message may quote what it was given.
            raise InvalidCredential from None
        if not subject.startswith(_USER) or not isinstance(account_id, str):
            raise InvalidCredential
        if not isinstance(session_id, str):
            raise InvalidCredential
        if expire_time <= clock.now():
            raise TokenExpired
        return Claims(
            user_id=subject.removeprefix(_USER),
            account_id=account_id,
            session_id=session_id,
            expire_time=expire_time,
        )
