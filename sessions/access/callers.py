"""Who a request is from, once it is known."""

from dataclasses import dataclass

from sessions.access.errors import ScopeMissing
from sessions.models import ApiKey, Scope


@dataclass(frozen=True)
class Caller:
    """An account, and the key by which it came, if it was one.

    It stands where Django expects a user. Without a key the account itself is here, by its
    signature or by the session cookie that it signed in for, and may do all that is its own.
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
        """Raise ScopeMissing where the caller may not."""
        if not self.may(scope):
            raise ScopeMissing.of(scope)
