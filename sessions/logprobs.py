"""Log-probabilities of an answer's tokens, as a miner reports them. Pure."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

MAX_LOGPROBS = 20
"""The most alternatives that are reported for a token."""


class LogprobsUnreadable(ValueError):
    """A miner's report is not valid. The text says why."""


class TokenLogprob(NamedTuple):
    """A sampled token and its log-probability. `top` has the likeliest tokens at its position."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


def read_logprobs(rows: Any) -> tuple[TokenLogprob, ...]:
    """Parse `[[token, logprob, [[token, logprob], …]], …]` from an untrusted miner.

    Raises:
        LogprobsUnreadable: the value has another shape.
    """
    if not isinstance(rows, list | tuple):
        raise LogprobsUnreadable("logprobs is not a list")
    return tuple(_row(row) for row in rows)


def _row(row: Any) -> TokenLogprob:
    try:
        token, logprob, top = row
        if len(top) > MAX_LOGPROBS:
            raise LogprobsUnreadable(
                f"logprobs has more than {MAX_LOGPROBS} alternatives of a token"
            )
        return TokenLogprob(*_pair(token, logprob), tuple(_pair(*pair) for pair in top))
    except (TypeError, ValueError, OverflowError) as error:
        raise LogprobsUnreadable(f"logprobs has an invalid entry: {error}") from error


def _pair(token: Any, logprob: Any) -> tuple[int, float]:
    if type(token) is not int or not 0 <= token < 2**31:
        raise LogprobsUnreadable(f"{token!r:.20} is not a token id")
    value = float(logprob)
    if not -math.inf < value <= 0:
        raise LogprobsUnreadable(f"{logprob!r:.20} is not a log-probability")
    return token, value


def agree(these: Sequence[TokenLogprob], those: Sequence[TokenLogprob], tolerance: float) -> bool:
    """Return whether two miners report about equal log-probabilities for their common tokens.

    The comparison ends at the first token that differs. It skips tokens that both miners consider
    nearly impossible.
    """
    for mine, other in zip(these, those, strict=False):
        if mine.token != other.token:
            break
        if max(mine.logprob, other.logprob) < _HARDLY_POSSIBLE:
            continue
        if abs(mine.logprob - other.logprob) > tolerance:
            return False
        if not _tops_agree(dict(mine.top), dict(other.top), tolerance):
            return False
    return True


_HARDLY_POSSIBLE = -10.0


def _tops_agree(mine: dict[int, float], other: dict[int, float], tolerance: float) -> bool:
    if len(mine) != len(other):
        return False
    # If only one miner lists a token, compare it with the other miner's least likely listed token.
    for named, beside in ((mine, other), (other, mine)):
        least = min(beside.values(), default=0.0)
        for token, logprob in named.items():
            if logprob < _HARDLY_POSSIBLE:
                continue
            if abs(logprob - beside.get(token, least)) > tolerance:
                return False
    return True
