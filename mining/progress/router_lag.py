"""Nobody is late by the router's fault: what the oracle does not do before all has been heard.

Whether a miner was in time shows in its reports and on chain. While nobody reads those (a process
is away, Redis or the chain is, or what was missed is still being read), a deadline that has passed
says nothing yet.
"""

import time
from datetime import UTC, datetime, timedelta

import redis

from chain.postgres.liveness import CHAIN, REPORTS, read_marks
from mining.deadlines import Action, Step

HELD_AT_MOST = timedelta(seconds=300)
"""A task must end; and the contract takes what is late for so long."""
REPORT_AGAIN_S = 90.0
"""Redis that has begun anew has lost what miners had reported. So long they have to come back and
say it again."""
NOTHING = datetime.min.replace(tzinfo=UTC)

_HELD = frozenset(
    {
        *(Step.SWITCH_SOURCE, Step.REPLACE, Step.DRAW),
        *(Step.END_PRECOMMIT, Step.END_COMMIT, Step.END_TASK),
    }
)
"""What takes a miner's place or pay away."""


def is_held(action: Action, heard_until: datetime, now: datetime) -> bool:
    """Whether a step that is due has to wait until everything up to its deadline was heard."""
    if action.step not in _HELD or now >= action.at + HELD_AT_MOST:
        return False
    return heard_until < action.at


def heard_until() -> datetime:
    """Up to when all reports were read and the chain was followed."""
    try:
        marks = read_marks([CHAIN, REPORTS])
    except (redis.RedisError, OSError):
        return NOTHING
    if time.time() - marks.redis_since < REPORT_AGAIN_S:
        return NOTHING
    if not {CHAIN, REPORTS} <= marks.at.keys():
        return NOTHING
    return datetime.fromtimestamp(min(marks.at[CHAIN], marks.at[REPORTS]), UTC)
