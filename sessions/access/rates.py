"""Rate limits of keys and accounts: requests and tokens per minute."""

from django.conf import settings

from sessions.access import meter
from sessions.access.buckets import Bucket, RateAllowance, take, wait_s
from sessions.access.callers import Caller
from sessions.access.errors import LimitReached
from sessions.access.streams import TaskNumbers, take_slot
from sessions.errors import InvalidField


def admit_request(caller: Caller) -> None:
    """Count a request against its caller's limits.

    Raises:
        LimitReached: the caller has no request left for now.
    """
    buckets = _buckets("requests", caller, caller.key.requests_per_minute if caller.key else None)
    _take("requests", 1, buckets)


def admit_tokens(caller: Caller, tokens: int) -> None:
    """Count the tokens of a task: those of its prompt, and the most that its answer may have.

    Raises:
        LimitReached: the caller has fewer tokens left for now.
        InvalidField: the task has more tokens than the caller may use in a minute.
    """
    buckets = _buckets("tokens", caller, caller.key.tokens_per_minute if caller.key else None)
    largest = min((bucket.per_minute for bucket in buckets if bucket.per_minute), default=0)
    if largest and tokens > largest:
        raise InvalidField(
            f"the task can take {tokens} tokens, and you may use {largest} a minute",
            field="max_tokens",
            remedy="ask for fewer tokens, or shorten the prompt",
        )
    _take("tokens", tokens, buckets)


def admit_stream(caller: Caller, task: TaskNumbers | None = None) -> None:
    """Take a stream slot for this request. The middleware releases it.

    Args:
        task: the task that the stream follows, if another request has created it.

    Raises:
        LimitReached: the caller has as many open streams as it may.
    """
    metered = meter.current()
    if metered is not None:
        metered.slot = take_slot(caller, task)


def admit_visitor() -> None:
    """Count a request without credentials against the client's IP address.

    Raises:
        LimitReached: too many such requests come from this address.
    """
    metered = meter.current()
    if metered is None:
        return
    per_minute = int(settings.LIMITS["visitor_requests_per_minute"])
    allowance = take(1, [Bucket(f"visitor:{metered.remote}", per_minute)])
    if allowance is not None and allowance.wait_ms:
        raise LimitReached(
            f"{per_minute} requests a minute may come from your address without a key",
            wait_s=wait_s(allowance),
            remedy="wait as long as Retry-After says",
        )


def count_failure() -> None:
    """Count a request with wrong credentials against the client's IP address.

    Raises:
        LimitReached: too many such requests come from this address.
    """
    metered = meter.current()
    if metered is None:
        return
    bucket = Bucket(f"failures:{metered.remote}", int(settings.LIMITS["failures_per_minute"]))
    allowance = take(1, [bucket])
    if allowance is not None and allowance.wait_ms:
        raise LimitReached(
            "too many requests with wrong credentials come from your address",
            wait_s=wait_s(allowance),
        )


def _buckets(what: str, caller: Caller, of_key: int | None) -> list[Bucket]:
    limits = settings.LIMITS
    of_account = int(limits[f"account_{what}_per_minute"])
    buckets = [Bucket(f"{what}:account:{caller.address}", of_account)]
    if caller.key is not None:
        per_minute = int(limits[f"key_{what}_per_minute"]) if of_key is None else of_key
        buckets.append(Bucket(f"{what}:key:{caller.key.pk}", per_minute))
    return buckets


def _take(what: str, cost: int, buckets: list[Bucket]) -> None:
    allowance = take(cost, buckets)
    if allowance is None:
        return
    _note(what, allowance)
    if allowance.wait_ms:
        raise LimitReached(
            f"you may use {allowance.limit} {what} a minute, {allowance.remaining} are left for"
            f" now, and this takes {cost}",
            wait_s=wait_s(allowance),
            remedy="wait as long as Retry-After says",
        )


def _note(what: str, allowance: RateAllowance) -> None:
    metered = meter.current()
    if metered is not None:
        metered.allowances[what] = allowance
