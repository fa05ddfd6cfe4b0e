"""Holds back steps that penalise a miner while the router lags behind.

Reports and the chain show whether a miner met a deadline. While the router cannot read them, or has
not read all of them yet (after an outage of a process, of Redis or of the chain), a deadline in the
past proves nothing.
"""

import time
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
NOTHING = datetime.min.replace(tzinfo=UTC)
"""The value of `heard_until` if the router cannot say what it has read."""

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


def is_held(action: Action, heard_until: datetime, now: datetime) -> bool:
    """Return whether a due step has to wait until the router has read up to its deadline."""
    if action.step not in _HELD or now >= action.at + HELD_AT_MOST:
        return False
    return heard_until < action.at


def heard_until() -> datetime:
    """Return the time up to which the router has read all reports and the chain."""
    try:
        marks = read_marks([CHAIN, REPORTS])
    except (redis.RedisError, OSError):
        return NOTHING
    if time.time() - marks.redis_since < REPORT_AGAIN_S:
        return NOTHING
    if not {CHAIN, REPORTS} <= marks.at.keys():
        return NOTHING
    return datetime.fromtimestamp(min(marks.at[CHAIN], marks.at[REPORTS]), UTC)
