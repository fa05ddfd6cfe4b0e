"""What the next batch reads of the prompts, and how few pieces llama.cpp has to cut it into.

llama.cpp runs a batch in pieces: the sequences of a piece have neighbouring slots and equally many
tokens in it. Each piece goes through all of the model's weights, so that a batch is as
fast as its pieces are few.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise

FULL_TOKENS = 512
"""The most that a batch reads."""
LONE_TOKENS = 128
"""The most that a batch reads of a prompt or two on a CPU, which larger batches make no faster, and
on any machine while others wait for their next token: whoever comes next waits for one step."""
CROWD, CROWD_TOKENS = 3, 256
"""With so many prompts to read, so much: the sooner all are read, the fuller the batches after."""
WIDEST_GAP = 3
"""Idle slots between busy ones are bridged up to this width: a token for each costs less than
another piece."""
APART = 6
"""Up to so many sequences may stay in pieces of their own: one token alone takes a quick path of
llama.cpp's, while a product with two takes nearly as long as one with eight, on some CPUs."""


def room_for_prompts(reading: int, generating: int, *, on_gpu: bool) -> int:
    """How many tokens of prompts the next batch may read."""
    if on_gpu and not generating:
        return FULL_TOKENS
    most = LONE_TOKENS if reading < CROWD else CROWD_TOKENS
    return max(0, min(most, FULL_TOKENS - generating))


def order(slots: int, *, apart: bool) -> list[int]:
    """In which order slots are given out.

    Args:
        apart: whether sequences are faster in pieces of their own; the first few then get slots
            that are no neighbours, and whoever comes later those between.
    """
    lone = range(0, min(slots, 2 * APART), 2) if apart else ()
    return [*lone, *(slot for slot in range(slots) if slot not in lone)]


def shares(unread: Sequence[int], room: int) -> list[int]:
    """How many tokens each prompt reads, of lengths that are given oldest first.

    The shortest are read first and whole, since half-read prompts of many lengths make many pieces
    and nobody's first token. The oldest has half of the room for sure, so that short ones never
    hold up a long one for good.
    """
    counts = [0] * len(unread)
    if unread:
        counts[0] = min(unread[0], room // 2)
        room -= counts[0]
    for index in sorted(range(len(unread)), key=unread.__getitem__):
        more = min(unread[index] - counts[index], room)
        counts[index] += more
        room -= more
    return counts


def gaps(busy: Collection[int]) -> list[int]:
    """The idle slots which a token each would make busy ones neighbours."""
    if len(busy) <= APART:
        return []
    slots = sorted(busy)
    return [
        idle
        for left, right in pairwise(slots)
        if right - left - 1 <= WIDEST_GAP
        for idle in range(left + 1, right)
    ]
