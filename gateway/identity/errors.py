"""What identity refuses, beyond what every service does.

What concerns credentials says the same whatever was wrong with them.
"""

from __future__ import annotations

from chassis.errors import (
    Forbidden,
    InvalidFields,
    InvalidTransition,
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

    def __init__(self, what: str = "access token") -> None:
        super().__init__(f"The {what} has expired.", reason="TOKEN_EXPIRED")


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


class RoleTooHigh(Forbidden):
    """Nobody gives, takes or changes what stands above themselves."""

    def __init__(self) -> None:
        super().__init__("ROLE_FORBIDDEN", "Your role is not high enough for this user.")


class DoesNotLast(Forbidden):
    """Whom a credential lets in outlives it, so it must not end by itself."""

    def __init__(self) -> None:
        text = "A key that ends, or a former secret, lets no key and nobody in: they would stay."
        super().__init__("ROLE_FORBIDDEN", text)


class RightsChanged(Forbidden):
    """Somebody has changed the caller's role while the call was under way."""

    def __init__(self) -> None:
        super().__init__("ROLE_FORBIDDEN", "Your role has just been changed; look at it again.")


class NotAPerson(Forbidden):
    """Only a user on their own account has a password, sessions and a name here."""

    def __init__(self) -> None:
        super().__init__("ROLE_FORBIDDEN", "Only a user may do this, for themselves.")


class MayNotAct(Forbidden):
    """Only operators act on other accounts."""

    def __init__(self) -> None:
        super().__init__("ROLE_FORBIDDEN", "Your role does not allow acting on another account.")


class LastOwner(Refusal):
    """Somebody has to be left who may do everything."""

    def __init__(self) -> None:
        super().__init__(
            Kind.FAILED_PRECONDITION, "LAST_OWNER", "The account would be left without an owner."
        )


class TooManyAttempts(Refusal):
    """Too many wrong passwords; says nothing of whether there is such a user."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            Kind.RESOURCE_EXHAUSTED,
            "RATE_LIMITED",
            "Too many attempts have failed; try again later.",
            metadata={"retry_after_s": str(retry_after_s)},
        )


class WrongPassword(InvalidFields):
    """The password that was to be changed is another one."""

    def __init__(self) -> None:
        super().__init__(Violation("current_password", "is wrong"))


class NotAnOrigin(InvalidFields):
    """A web origin is a scheme, a host and a port, and one that is named."""

    def __init__(self, index: int) -> None:
        field = f"allowed_origins[{index}]"
        super().__init__(Violation(field, "must be an origin such as https://app.example.com"))


class TooManySites(InvalidFields):
    """Granted sites travel in every token, which has to fit into a header."""

    def __init__(self, sites_max: int) -> None:
        text = f"a user can be granted at most {sites_max} sites"
        super().__init__(Violation("site_id", text), reason="TOO_MANY_ITEMS")


class KeyRoleTooHigh(InvalidFields):
    """Keys may read, write and manage, but not own an account."""

    def __init__(self) -> None:
        super().__init__(Violation("api_key.role", "must be viewer, editor or admin"))


class KeyEnded(InvalidTransition):
    """A key that was revoked or has expired gets no new secret."""

    def __init__(self) -> None:
        super().__init__("The API key was revoked or has expired.")


class InvalidExpiry(InvalidFields):
    """A key must have some life before it."""

    def __init__(self) -> None:
        super().__init__(Violation("api_key.expire_time", "must be a time in the future"))


class TooManyPasswords(Unavailable):
    """More passwords are waiting to be checked than can be in useful time."""

    def __init__(self) -> None:
        super().__init__("Too many people are signing in at the moment; try again shortly.")
