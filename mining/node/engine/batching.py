"""Plans a step: how much of each prompt it reads, and in which pieces it runs the model.

A step is split into pieces. The sequences of a piece have neighbouring slots and the same number of
tokens in it. Each piece runs through all weights of the model, so a step with fewer pieces is
faster.

The last bits of a token's logits must not depend on the other sequences, since they can decide a
draw, and the machine that checks an answer runs other sequences beside it. llama.cpp multiplies
quantised weights exactly, but it computes the attention of a run of `TILE_TOKENS` tokens or more in
another order. So only the length of the prompt decides how it is read: a prompt of `TILE_TOKENS`
tokens or more is read only in runs of at least `TILE_TOKENS`, and everything else only in shorter
runs.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from mining.node.llm.llama import Run

TILE_TOKENS = 64
"""`GGML_FA_TILE_Q` of llama.cpp. A run of this many tokens or more computes attention in tiles."""
FULL_TOKENS = 512
"""The most prompt tokens that a step reads."""
LONE_TOKENS = 128
"""The most prompt tokens that a step reads if fewer than `CROWD` prompts are being read.

Larger steps are no faster on a CPU. On every machine they delay the next token of the sequences
that are generating, and a request that arrives waits for the current step. A GPU on which nothing
is generating reads `FULL_TOKENS` instead.
"""
CROWD, CROWD_TOKENS = 3, 256
"""With at least `CROWD` prompts to read, a step reads up to `CROWD_TOKENS` of them.

The sooner all prompts are read, the fuller are the batches in which the answers are generated.
"""
WIDEST_GAP = 3
"""The most idle slots between two busy ones that are bridged.

A token in each of them costs less than another piece.
"""
APART = 6
"""Up to this many sequences may stay in pieces of their own.

On some CPUs, llama.cpp has a fast path for a single token, while a batch of two tokens takes nearly
as long as a batch of eight.
"""


def room_for_prompts(reading: int, generating: int, *, on_gpu: bool) -> int:
    """Return how many prompt tokens the next step may read, which is at least two tiles.

    Args:
        reading: the number of prompts that are being read.
        generating: the number of sequences that are generating.
        on_gpu: whether a GPU holds layers of the model.
    """
    if on_gpu and not generating:
        return FULL_TOKENS
    return LONE_TOKENS if reading < CROWD else CROWD_TOKENS


def order(slots: int, *, apart: bool) -> list[int]:
    """Return the order in which slots are assigned to sequences.

    Args:
        slots: the number of slots.
        apart: whether sequences are faster in pieces of their own. If so, the first few sequences
            get slots that are not neighbours, and later ones the slots between.
    """
    lone = range(0, min(slots, 2 * APART), 2) if apart else ()
    return [*lone, *(slot for slot in range(slots) if slot not in lone)]


def reads_in_tiles(prompt_tokens: int) -> bool:
    """Tell whether a prompt of this length is read in runs of at least `TILE_TOKENS`."""
    return prompt_tokens >= TILE_TOKENS


@dataclass(frozen=True)
class Unread:
    """A number of unread tokens, and whether they are read in runs of at least `TILE_TOKENS`."""

    tokens: int
    in_tiles: bool

    def within(self, room: int) -> int:
        """Return how many of the tokens may be read in a step that has room for `room` tokens."""
        if not self.in_tiles:
            return min(self.tokens, room, TILE_TOKENS - 1)
        if self.tokens <= room:
            return self.tokens
        part = min(room, self.tokens - TILE_TOKENS)
        return part if part >= TILE_TOKENS else 0


def shares(unread: Sequence[Unread], room: int) -> list[int]:
    """Return how many tokens each sequence reads in a step with room for `room` tokens.

    The oldest sequence comes first and gets up to half of the room, or up to all of it if half is
    too little for a run in tiles. So short prompts cannot hold up a long one forever. The rest goes
    to the shortest prompts first, since only a prompt that is read to its end yields a first token.

    Args:
        unread: the unread tokens of each sequence, the oldest sequence first.
        room: the most tokens that the step reads.
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
    """Group the runs of a step, which are ordered by slot, into pieces. No run is cut."""
    alone = [run for run in runs if len(run.tokens) == 1]
    if alone:
        yield alone
    longer = enumerate(run for run in runs if len(run.tokens) > 1)
    for _, group in groupby(longer, lambda each: (each[1].sequence - each[0], len(each[1].tokens))):
        yield [run for _, run in group]


def gaps(busy: Collection[int]) -> list[int]:
    """Return the idle slots that need a token each to make busy slots neighbours."""
    if len(busy) <= APART:
        return []
    slots = sorted(busy)
    return [
        idle
        for left, right in pairwise(slots)
        if right - left - 1 <= WIDEST_GAP
        for idle in range(left + 1, right)
    ]
