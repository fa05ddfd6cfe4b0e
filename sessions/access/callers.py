"""The authenticated sender of a request."""

from dataclasses import dataclass

from sessions.access.errors import ScopeMissing
from sessions.models import ApiKey, Scope


@dataclass(frozen=True)
class Caller:
    """An account, and the API key that it used, if any.

    REST framework has this object in the place of a Django user. Without a key, the account has
    authenticated itself, by a signature or a session cookie, and has all scopes.
    """

    address: str
    key: ApiKey | None = None

    is_authenticated = True

    @classmethod
    def of_key(cls, key: ApiKey) -> "Caller":
        return cls(key.owner, key)

    def may(self, scope: Scope) -> bool:
        return self.key is None or self.key.allows(scope)

    def require(self, scope: Scope) -> None:
        """Raise ScopeMissing if the caller lacks this scope."""
        if not self.may(scope):
            raise ScopeMissing.of(scope)
