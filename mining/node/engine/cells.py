"""The tokens in each slot of the model's cache, and their reuse for later prompts.

A cell of the cache holds what the model has computed for one token of a sequence.
"""

from collections.abc import Iterable, Sequence

from mining.node.engine import batching
from mining.node.engine.prefixes import common_prefix
from mining.node.llm.llama import Context, Run

SHORTEST_SHARED_PREFIX = 32
"""To copy a slot's cells takes longer than to read fewer tokens than this again."""


class Cells:
    """The tokens in a context's cells, by slot. A sequence that ends leaves its tokens there."""

    def __init__(self, context: Context, slots: int, tokens_per_slot: int) -> None:
        self._context = context
        self._tokens_per_slot = tokens_per_slot
        self._held: list[list[int]] = [[] for _ in range(slots)]
        self._tiled = [0] * slots
        """How many of each slot's first tokens were read in tiles."""

    def length(self, slot: int) -> int:
        """Return how many tokens a slot holds."""
        return len(self._held[slot])

    def decode(self, runs: Sequence[Run]) -> None:
        """Run a piece through the model, with the gaps between its slots bridged.

        A bridge is one token in an idle slot. It is removed from the slot afterwards.

        Raises:
            LlamaError: llama.cpp fails.
        """
        bridges: list[Run] = []
        if len(runs[0].tokens) == 1:
            idle = batching.gaps([run.sequence for run in runs])
            free = [slot for slot in idle if self.length(slot) < self._tokens_per_slot]
            bridges = [Run(slot, self.length(slot), [0], outputs=0) for slot in free]
        try:
            self._context.decode(sorted([*runs, *bridges], key=lambda run: run.sequence))
        finally:
            for bridge in bridges:
                self._context.cut(bridge.sequence, bridge.position)
        for run in runs:
            self._held[run.sequence] += run.tokens
            if len(run.tokens) >= batching.TILE_TOKENS:
                self._tiled[run.sequence] += len(run.tokens)

    def take_over(
        self, slot: int, prompt: Sequence[int], coming: Iterable[tuple[int, Sequence[int]]]
    ) -> int | None:
        """Reuse the longest prefix of a prompt that any slot holds, and return its length.

        The prefix is copied to `slot`, unless `slot` itself holds it. Only tokens that were read in
        the same way as the prompt will be (in tiles or not) are reused. At least one token of the
        prompt, or one tile, is left to read.

        Args:
            slot: the slot that the prompt will be read into.
            prompt: the prompt's tokens.
            coming: the slots into which prompts are being read, each with its unread tokens.

        Returns:
            How many tokens are reused, or None if another slot will soon hold a prefix that is so
            much longer that it is worth waiting for.
        """
        in_tiles = batching.reads_in_tiles(len(prompt))
        most = len(prompt) - (batching.TILE_TOKENS if in_tiles else 1)

        def usable(other: int) -> int:
            if in_tiles:
                return min(common_prefix(self._held[other], prompt), self._tiled[other], most)
            return 0 if self._tiled[other] else min(common_prefix(self._held[other], prompt), most)

        held = [usable(other) for other in range(len(self._held))]
        best = max(range(len(held)), key=held.__getitem__)
        for other, unread in coming:
            whole = [*self._held[other], *unread]
            if batching.reads_in_tiles(len(whole)) is in_tiles:
                soon = min(common_prefix(whole, prompt), most)
                if soon >= held[best] + SHORTEST_SHARED_PREFIX:
                    return None
        if held[best] < held[slot] + SHORTEST_SHARED_PREFIX:
            self.keep(slot, held[slot])
            return held[slot]
        self.keep(slot, 0)
        self._context.copy(best, slot, held[best])
        self._held[slot] = self._held[best][: held[best]]
        self._tiled[slot] = min(self._tiled[best], held[best])
        return held[best]

    def keep(self, slot: int, count: int) -> None:
        """Keep the first `count` tokens of a slot and free its other cells."""
        self._context.cut(slot, count)
        del self._held[slot][count:]
        self._tiled[slot] = min(self._tiled[slot], count)
