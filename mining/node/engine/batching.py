"""What the next step reads of the prompts, and in which pieces it goes through the model.

The sequences of a piece have neighbouring slots and equally many tokens in it. Each piece goes
through all of the model's weights, so that a step is as fast as its pieces are few.

The last bits of a token's logits must not depend on what else there is to do: they can decide a
draw, and who checks an answer has other things to do. llama.cpp multiplies quantised weights
exactly, but computes the attention of a run of `TILE_TOKENS` and more in another order. So what is
a run is decided by the prompt alone: one that is as long as this is read in such runs only, and all
else in shorter ones.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from mining.node.llm.llama import Run

TILE_TOKENS = 64
"""`GGML_FA_TILE_Q` of llama.cpp: from so many tokens on attention is computed in tiles."""
FULL_TOKENS = 512
"""The most that a step reads."""
LONE_TOKENS = 128
"""The most that a step reads of a prompt or two on a CPU, which larger batches make no faster, and
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
    """How many tokens of prompts the next step may read; at least two tiles."""
    if on_gpu and not generating:
        return FULL_TOKENS
    return LONE_TOKENS if reading < CROWD else CROWD_TOKENS


def order(slots: int, *, apart: bool) -> list[int]:
    """In which order slots are given out.

    Args:
        apart: whether sequences are faster in pieces of their own; the first few then get slots
            that are no neighbours, and whoever comes later those between.
    """
    lone = range(0, min(slots, 2 * APART), 2) if apart else ()
    return [*lone, *(slot for slot in range(slots) if slot not in lone)]


def reads_in_tiles(prompt_tokens: int) -> bool:
    """Whether a prompt of this length is read in runs of `TILE_TOKENS` and more."""
    return prompt_tokens >= TILE_TOKENS


@dataclass(frozen=True)
class Unread:
    """So many tokens to read, in runs of `TILE_TOKENS` and more, or in shorter ones."""

    tokens: int
    in_tiles: bool

    def within(self, room: int) -> int:
        """How many of them may be read now, if there is room for so many."""
        if not self.in_tiles:
            return min(self.tokens, room, TILE_TOKENS - 1)
        if self.tokens <= room:
            return self.tokens
        part = min(room, self.tokens - TILE_TOKENS)
        return part if part >= TILE_TOKENS else 0


def shares(unread: Sequence[Unread], room: int) -> list[int]:
    """How many tokens each sequence reads, given oldest first.

    The shortest are read first and whole, since half-read prompts make nobody's first token. The
    oldest comes before them, with half of the room or all of what it has, so that short ones never
    hold up a long one for good.
    """
    counts = [0] * len(unread)
    if unread:
        counts[0] = unread[0].within(room // 2) or unread[0].within(room)
        room -= counts[0]
    for index in sorted(range(len(unread)), key=lambda index: unread[index].tokens):
        more = unread[index].within(counts[index] + room) - counts[index]
        counts[index] += more
        room -= more
    return counts


def pieces(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """The runs of a step, by slot, as they go through the model together: whole, never cut."""
    alone = [run for run in runs if len(run.tokens) == 1]
    if alone:
        yield alone
    longer = enumerate(run for run in runs if len(run.tokens) > 1)
    for _, group in groupby(longer, lambda each: (each[1].sequence - each[0], len(each[1].tokens))):
        yield [run for _, run in group]


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
