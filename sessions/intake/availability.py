"""Refusal of new tasks while a part of the router is down. docs/operations.md has the table.

A part may be down for as long as this harms nobody. After that a task would cost its client time or
its miners their pay, so the router refuses it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sessions import ports
from sessions.errors import PartAway

TRY_AGAIN_S = 5


@dataclass(frozen=True)
class Rule:
    """Refuse tasks once `part` is missing and has not been heard of for `after_s` seconds."""

    part: str
    after_s: float
    why: str
    for_queued_only: bool = False
    """Whether the rule applies only to tasks that have to wait for a free miner."""


RULES = (
    Rule("redis", 0, "Redis does not answer: no miner would get the task, no client its answer"),
    Rule("validate", 0, "no validator is ready to judge the answers"),
    Rule("collect", 0, "miners' reports are not read"),
    Rule(
        "dispatch",
        0,
        "no miner is free, and waiting tasks are not dispatched",
        for_queued_only=True,
    ),
    Rule("oracle", 60, "late miners are not replaced"),
    Rule("send", 60, "transactions are not sent to the chain"),
    Rule("sync", 60, "the router does not follow the chain"),
    Rule("react", 60, "the router does not react to the chain's events"),
    Rule("chain", 60, "the chain does not answer, or the router is behind it"),
)
"""Parts that are not listed (webhooks, network tasks) catch up later; no task waits for them."""


def require_parts(*, is_queued: bool = False) -> None:
    """Raise PartAway if a part that a new task needs is down.

    Args:
        is_queued: whether the task would have to wait, since no miner is free.
    """
    rule = broken_rule(ports.parts_away(), is_queued=is_queued)
    if rule is not None:
        raise PartAway(
            f"{rule.why}; nothing was reserved",
            remedy="send the request again in a few seconds; /readyz says which parts are there",
            extra={"part": rule.part},
        )


def broken_rule(away_s: Mapping[str, float], *, is_queued: bool = False) -> Rule | None:
    """Return the first rule that refuses a task, or None.

    Args:
        away_s: for how many seconds each missing part has not been heard of.
    """
    for rule in RULES:
        if rule.for_queued_only and not is_queued:
            continue
        if away_s.get(rule.part, -math.inf) >= rule.after_s:
            return rule
    return None
