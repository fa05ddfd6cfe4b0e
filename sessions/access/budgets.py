"""Daily budgets of API keys (by UTC day), and the limits of open tasks.

No counters are stored: both are sums over the tasks themselves. A task counts with its highest
price until the chain has settled it, and with the amount paid from then on. So a budget is never
overspent, corrects itself at settlement, and survives crashes and forks. The caller must have a
transaction open. The locks in this module serialize the intakes of the same key and of the same
payer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    Count,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from chain.postgres.prepared import Parameter, Prepared, totals
from sessions.access.errors import BudgetSpent, LimitReached
from sessions.errors import cor
from sessions.models import ApiKey, OnChainTask, Session, Task, TaskStatus, Uint256Field

DAY = timedelta(days=1)
TRY_AGAIN_S = 2


@dataclass(frozen=True)
class Usage:
    """The sums of a key's tasks since the day began."""

    since: datetime
    wei: int
    tokens: int


def day_start(now: datetime) -> datetime:
    """Return the start of the UTC day."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def usage_today(key: ApiKey) -> Usage:
    """Return what a key has used today. A task counts on the day on which it was accepted."""
    since = day_start(timezone.now())
    settled = OnChainTask.objects.filter(
        session_id=OuterRef("session_id"), task_id=OuterRef("task_id"), ended_at__isnull=False
    )
    over = Q(status=TaskStatus.FAILED) | Q(outcome_code="refunded")
    sums = (
        Task.objects.filter(api_key=key, created_at__gte=since)
        .annotate(
            paid=Subquery(settled.values("paid_wei")[:1], output_field=Uint256Field()),
            weight=Case(
                When(over, then=Value(0)),
                default=F("max_input_tokens") + Coalesce(F("answer_tokens"), F("max_tokens")),
                output_field=BigIntegerField(),
            ),
        )
        .aggregate(wei=Sum(Coalesce("paid", "reserve_wei")), tokens=Sum("weight"))
    )
    return Usage(since, int(sums["wei"] or 0), int(sums["tokens"] or 0))


def require_budget(key: ApiKey, reserve_wei: int, tokens: int) -> None:
    """Check that a task at its highest price is within the key's budgets.

    Raises:
        BudgetSpent: it is not.
    """
    if key.daily_wei is None and key.daily_tokens is None:
        return
    # Other intakes with this key wait here. Read the key again, since it may have changed.
    key = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    used = usage_today(key)
    if key.daily_wei is not None and used.wei + reserve_wei > key.daily_wei:
        left = max(int(key.daily_wei) - used.wei, 0)
        raise _spent(
            used, f"the task can cost up to {cor(reserve_wei)} COR, and {cor(left)} COR are left"
        )
    if key.daily_tokens is not None and used.tokens + tokens > key.daily_tokens:
        left = max(key.daily_tokens - used.tokens, 0)
        raise _spent(used, f"the task can take {tokens} tokens, and {left} are left")


def require_open_task(session: Session, key: ApiKey | None) -> None:
    """Check that the paying account and the key may each have one more task open.

    Raises:
        LimitReached: the account or the key has as many open tasks as it may.
    """
    account_limit = int(settings.LIMITS["account_open_tasks"])
    key_limit = int(settings.LIMITS["key_open_tasks"]) if key is not None else 0
    if key is not None and key.max_open_tasks is not None:
        key_limit = key.max_open_tasks
    if not account_limit and not key_limit:
        return
    _take_turns(session.owner, key)
    # No key has the primary key 0.
    [counts] = _OPEN_TASKS.rows(owner=session.owner, key=0 if key is None else key.pk)
    limits = (("account", account_limit), ("key", key_limit))
    for count, (whose, limit) in zip(counts, limits, strict=True):
        if limit:
            _require_fewer(count, limit, whose)


def _open_tasks() -> "QuerySet[Task, tuple[int, int]]":
    sessions = Session.objects.filter(owner=Parameter("owner", CharField())).values("session_id")
    of_account = Q(session_id__in=sessions)
    of_key = Q(api_key_id=Parameter("key", BigIntegerField()))
    return totals(
        Task.objects.open().filter(of_account | of_key),
        account=Count("pk", filter=of_account),
        key=Count("pk", filter=of_key),
    )


_OPEN_TASKS = Prepared(_open_tasks)


def _require_fewer(open_tasks: int, limit: int, whose: str) -> None:
    if open_tasks >= limit:
        raise LimitReached(
            f"{open_tasks} tasks of this {whose} are open, and it may have {limit} at once",
            wait_s=TRY_AGAIN_S,
            remedy="wait until one has ended",
        )


def _take_turns(account: str, key: ApiKey | None) -> None:
    lock = "pg_advisory_xact_lock(hashtextextended(%s, 0))"
    names = [account] if key is None else [account, f"api key {key.pk}"]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([lock] * len(names))}", names)


def _spent(used: Usage, figures: str) -> BudgetSpent:
    wait = used.since + DAY - timezone.now()
    return BudgetSpent(
        f"{figures} of this key's budget for today (UTC)",
        wait_s=int(wait.total_seconds()) + 1,
        remedy="wait until midnight UTC, ask for fewer tokens, or use a key with a larger budget",
    )
