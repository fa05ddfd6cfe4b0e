"""The checks of a caller before intake accepts a task: rights, rates, open tasks and budgets."""

from django.conf import settings

from sessions.access import budgets, rates
from sessions.access.callers import Caller
from sessions.errors import InvalidField, SessionNotFound
from sessions.models import ApiKey, Scope, Session


def caller_of(api_key: ApiKey | None, account: str) -> Caller | None:
    """Return the caller, or None for a request of the router itself."""
    if api_key is not None:
        return Caller.of_key(api_key)
    return Caller(account) if account else None


def require_right(caller: Caller | None, session: Session, prompt: str) -> None:
    """Check that the caller may charge this session, and that the prompt is not too large.

    Raises:
        ScopeMissing: the key lacks the scope `submit`.
        SessionNotFound: the key is restricted to another session.
        InvalidField: the prompt is too large.
    """
    largest = int(settings.LIMITS["prompt_bytes"])
    size = len(prompt.encode())
    if largest and size > largest:
        raise InvalidField(
            f"the prompt has {size} bytes, and this router takes {largest}",
            field="prompt",
            remedy="shorten the prompt",
        )
    if caller is None:
        return
    caller.require(Scope.SUBMIT)
    if caller.key is not None and caller.key.session_id not in (None, session.session_id):
        raise SessionNotFound.of(session.session_id)


def admit(caller: Caller | None, tokens: int) -> None:
    """Count a task's tokens against the caller's rate. Raises LimitReached or InvalidField."""
    if caller is not None:
        rates.admit_tokens(caller, tokens)


def require_room(caller: Caller | None, session: Session, reserve_wei: int, tokens: int) -> None:
    """Check the limit of open tasks and the daily budgets, inside the intake's transaction.

    Raises:
        LimitReached: too many tasks are open.
        BudgetSpent: the key's budget does not cover the task's highest price.
    """
    if caller is None:
        return
    budgets.require_open_task(session, caller.key)
    if caller.key is not None:
        budgets.require_budget(caller.key, reserve_wei, tokens)
