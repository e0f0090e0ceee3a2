"""What identity refuses, beyond what every service does.

What concerns credentials says the same whatever was wrong with them.
"""

from __future__ import annotations

from chassis.errors import (
    Forbidden,
    InvalidFields,
    Kind,
    Refusal,
    Unauthenticated,
    Unavailable,
    Violation,
)


class EmailTaken(Refusal):
    """The address belongs to a user; whose it is, is nobody's business."""

    def __init__(self) -> None:
        super().__init__(
            Kind.ALREADY_EXISTS,
            "ALREADY_EXISTS",
            "There is already a user with this address.",
            metadata={"resource": "user"},
            violations=(Violation("email", "is taken"),),
        )


class WrongCredentials(Unauthenticated):
    """No user with this address and this password."""

    def __init__(self) -> None:
        super().__init__("The address or the password is wrong.")


class InvalidCredential(Unauthenticated):
    """A token or key that is none of ours."""

    def __init__(self) -> None:
        super().__init__("The credentials are not valid.")


class TokenExpired(Unauthenticated):
    """A token of ours that is too old."""

    def __init__(self) -> None:
        super().__init__("The access token has expired.", reason="TOKEN_EXPIRED")


class KeyRevoked(Unauthenticated):
    """A key of ours that was revoked or has expired."""

    def __init__(self) -> None:
        super().__init__("The API key was revoked or has expired.", reason="KEY_REVOKED")


class AccountInactive(Forbidden):
    """The account is suspended or cancelled; no credential of it counts."""

    def __init__(self) -> None:
        super().__init__("ACCOUNT_INACTIVE", "The account is not active.")


class SiteForbidden(Forbidden):
    """The site is the account's, and the caller was not granted it."""

    def __init__(self) -> None:
        super().__init__("SITE_FORBIDDEN", "You have no access to this site.")


class UnknownSite(InvalidFields):
    """There is no such site, or it is another account's."""

    def __init__(self, field: str) -> None:
        super().__init__(Violation(field, "there is no such site"))


class UnknownSector(InvalidFields):
    """There is no such sector, or it is another account's or another site's."""

    def __init__(self, field: str) -> None:
        super().__init__(Violation(field, "there is no such sector in this site"))


class KeyRoleTooHigh(InvalidFields):
    """Keys may read, write and manage, but not own an account."""

    def __init__(self) -> None:
        super().__init__(Violation("api_key.role", "must be viewer, editor or admin"))


class InvalidExpiry(InvalidFields):
    """A key must have some life before it."""

    def __init__(self) -> None:
        super().__init__(Violation("api_key.expire_time", "must be a time in the future"))


class TooManyPasswords(Unavailable):
    """More passwords are waiting to be checked than can be in useful time."""

    def __init__(self) -> None:
        super().__init__("Too many people are signing in at the moment; try again shortly.")
