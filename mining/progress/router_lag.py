"""Holds back steps that penalise a miner while the router lags behind.

Reports and the chain show whether a miner met a deadline. While the router cannot read them, or has
not read all of them yet (after an outage of a process, of Redis or of the chain), a deadline in the
past proves nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis

from chain.postgres.liveness import CHAIN, REPORTS, read_marks
from mining.deadlines import Action, Step

HELD_AT_MOST = timedelta(seconds=300)
"""The longest time that a step is held back, since every task must end.

The contract accepts late assignments and precommits for as long.
"""
REPORT_AGAIN_S = 90.0
"""How long miners have to reconnect and report again after Redis has started without its data."""


@dataclass(frozen=True)
class Heard:
    """What the router has heard of miners and the chain.

    It has read everything up to `until`. Redis has run since `redis_since`; it may have lost
    reports from before.
    """

    until: datetime
    redis_since: datetime


_EVER, _NEVER = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
ALL, NOTHING = Heard(_EVER, _NEVER), Heard(_NEVER, _NEVER)
"""The router has missed nothing; the router cannot say what it has read."""

_HELD = frozenset(
    {
        Step.SWITCH_SOURCE,
        Step.REPLACE,
        Step.DRAW,
        Step.END_PRECOMMIT,
        Step.END_COMMIT,
        Step.END_TASK,
    }
)
"""The steps that take a miner's place or its pay away."""


def is_held(action: Action, begun_at: datetime, heard: Heard, now: datetime) -> bool:
    """Return whether a due step has to wait until the router has heard everything up to it.

    Args:
        begun_at: when the task was created. Redis can only lose reports on tasks that it has seen.
    """
    if action.step not in _HELD or now >= action.at + HELD_AT_MOST:
        return False
    may_be_lost = begun_at < heard.redis_since
    if may_be_lost and now < heard.redis_since + timedelta(seconds=REPORT_AGAIN_S):
        return True
    return heard.until < action.at


def read_heard() -> Heard:
    """Return how far the router has read all reports and the chain."""
    try:
        marks = read_marks([CHAIN, REPORTS])
    except (redis.RedisError, OSError):
        return NOTHING
    since = datetime.fromtimestamp(marks.redis_since, UTC)
    if not {CHAIN, REPORTS} <= marks.at.keys():
        return Heard(NOTHING.until, since)
    return Heard(datetime.fromtimestamp(min(marks.at[CHAIN], marks.at[REPORTS]), UTC), since)
