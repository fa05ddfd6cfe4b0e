"""How likely a miner found the tokens of its answer, as it tells it. Pure."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

MAX_LOGPROBS = 20
"""So many rivals of a token are told at most."""


class LogprobsUnreadable(ValueError):
    """What a miner says is nothing of the kind; the text says why."""


class TokenLogprob(NamedTuple):
    """A drawn token and its log-probability; `top` has its likeliest rivals, itself included."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


def read_logprobs(rows: Any) -> tuple[TokenLogprob, ...]:
    """Read `[[token, logprob, [[token, logprob], …]], …]`, which a stranger may have written.

    Raises:
        LogprobsUnreadable: it is something else.
    """
    if not isinstance(rows, list | tuple):
        raise LogprobsUnreadable("logprobs is no list")
    return tuple(_row(row) for row in rows)


def _row(row: Any) -> TokenLogprob:
    try:
        token, logprob, top = row
        if len(top) > MAX_LOGPROBS:
            raise LogprobsUnreadable(f"logprobs has more than {MAX_LOGPROBS} rivals of a token")
        return TokenLogprob(*_pair(token, logprob), tuple(_pair(*pair) for pair in top))
    except (TypeError, ValueError, OverflowError) as error:
        raise LogprobsUnreadable(f"logprobs has what is none: {error}") from error


def _pair(token: Any, logprob: Any) -> tuple[int, float]:
    if type(token) is not int or not 0 <= token < 2**31:
        raise LogprobsUnreadable(f"{token!r:.20} is no token")
    value = float(logprob)
    if not -math.inf < value <= 0:
        raise LogprobsUnreadable(f"{logprob!r:.20} is no log-probability")
    return token, value


def agree(these: Sequence[TokenLogprob], those: Sequence[TokenLogprob], tolerance: float) -> bool:
    """Whether two miners found the tokens that they both drew equally likely.

    Where their answers part, and where both find a token next to impossible, nothing is compared.
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
    # A rival that only one names has to be about as likely as the last of the other's.
    for named, beside in ((mine, other), (other, mine)):
        least = min(beside.values(), default=0.0)
        for token, logprob in named.items():
            if logprob < _HARDLY_POSSIBLE:
                continue
            if abs(logprob - beside.get(token, least)) > tolerance:
                return False
    return True
