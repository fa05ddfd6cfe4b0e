"""The errors of access control."""

from sessions.errors import RequestError
from sessions.models import Scope


class ScopeMissing(RequestError):
    """The API key lacks the scope that the request needs."""

    code, title, status = "scope_missing", "The API key may not do this", 403

    @classmethod
    def of(cls, scope: Scope) -> "ScopeMissing":
        return cls(
            f"this needs a key with the scope '{scope.value}'",
            remedy="make a key with POST /api/v1/keys that has it",
        )


class CredentialsRefused(RequestError):
    """A signature, message or token is not valid."""

    code, title, status = "credentials_refused", "The credentials are not accepted", 401


class OriginRefused(RequestError):
    """A request with only a cookie would change something, and its CSRF token is not valid."""

    code, title, status = "csrf_refused", "The CSRF token is missing or wrong", 403


class LimitReached(RequestError):
    """A limit is reached, and the request had no effect."""

    code, title, status = "rate_limited", "Too many requests", 429

    def __init__(self, detail: str, *, wait_s: int, remedy: str = "") -> None:
        super().__init__(detail, remedy=remedy)
        self.retry_after_s = max(wait_s, 1)


class BudgetSpent(LimitReached):
    """The key's daily budget does not cover the task's highest price."""

    code, title = "budget_spent", "The key's budget is spent"
