"""Whether new tasks are taken while a part of the router is away: docs/operations.md has the table.

A part may be away for as long as what it leaves undone harms nobody. After that a task would cost
somebody something: its client time, its miners their pay.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sessions import ports
from sessions.errors import PartAway

TRY_AGAIN_S = 5


@dataclass(frozen=True)
class Rule:
    """Tasks are refused once `part` was not heard of for `after_s` seconds, and has been missed."""

    part: str
    after_s: float
    why: str
    for_queued_only: bool = False
    """Whether a task that miners begin at once is taken all the same."""


RULES = (
    Rule("redis", 0, "Redis does not answer: no miner would get the task, no client its answer"),
    Rule("validate", 0, "no validator is ready: nobody could judge the answers"),
    Rule("collect", 0, "nobody reads what miners report"),
    Rule("dispatch", 0, "no miner is free, and nobody gives out what waits", for_queued_only=True),
    Rule("oracle", 60, "nobody would replace a miner that is late"),
    Rule("send", 60, "nothing reaches the chain"),
    Rule("sync", 60, "nobody follows the chain"),
    Rule("react", 60, "nobody sees to what the chain has ended or refused"),
    Rule("chain", 60, "the chain does not answer, or the router is behind it"),
)
"""Those not named (webhooks, network tasks) make up for what they miss, and no task waits."""


def require_parts(*, is_queued: bool = False) -> None:
    """Raise PartAway if a task could not be served as it should be.

    Args:
        is_queued: it has found no miner that is free, and would have to wait for one.
    """
    rule = broken_rule(ports.parts_away(), is_queued=is_queued)
    if rule is not None:
        raise PartAway(
            f"{rule.why}; nothing was reserved",
            remedy="send the request again in a few seconds; /readyz says which parts are there",
            extra={"part": rule.part},
        )


def broken_rule(away_s: Mapping[str, float], *, is_queued: bool = False) -> Rule | None:
    """The first rule by which a task is refused, with parts away for so long."""
    for rule in RULES:
        if rule.for_queued_only and not is_queued:
            continue
        if away_s.get(rule.part, -math.inf) >= rule.after_s:
            return rule
    return None
