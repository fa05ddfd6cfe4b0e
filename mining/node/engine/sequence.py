"""The state of one request in an engine."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile

from mining.node.engine.batching import Unread, reads_in_tiles
from mining.node.engine.generation import Generation, GenerationRequest
from mining.node.engine.grammar import Grammar
from mining.node.engine.pieces import TextAssembler
from mining.node.engine.sampling import TokenLogprobs


@dataclass(eq=False)
class SequenceState:
    """The tokens that a request still has to read, and its answer so far."""

    generation: Generation
    pending: list[int]
    """The tokens to read: first those of the prompt, then those of the answer or its draft."""
    unread_prompt: int
    """How many of the pending tokens belong to the prompt."""
    assembler: TextAssembler
    grammar: Grammar | None
    slot: int = -1
    begun: bool = False
    """Whether the reuse of other slots' cells is decided, so that the prompt may be read."""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    drawn: dict[int, int] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, generation: Generation, grammar: Grammar | None, vocabulary_size: int
    ) -> "SequenceState":
        """Return the state of a request of which nothing has been read."""
        request = generation.request
        prompt, draft = request.prompt_tokens, _draft(request, vocabulary_size)
        assembler = TextAssembler(request.stop)
        return cls(generation, [*prompt, *draft], len(prompt), assembler, grammar)

    @property
    def unread(self) -> Unread:
        """The tokens that may be read next, and whether they are read in tiles."""
        if self.unread_prompt and reads_in_tiles(len(self.generation.request.prompt_tokens)):
            return Unread(self.unread_prompt, in_tiles=True)
        return Unread(len(self.pending), in_tiles=False)

    @property
    def is_generating(self) -> bool:
        """Whether the token that was drawn last is the only one to read."""
        return bool(self.token_ids) and len(self.pending) == 1

    def read(self, count: int) -> int:
        """Remove `count` tokens from the pending ones.

        Return after how many of them a token of the answer is drawn.
        """
        outputs = min(count, max(0, count - self.unread_prompt + 1))
        del self.pending[:count]
        self.unread_prompt = max(0, self.unread_prompt - count)
        return outputs


def _draft(request: GenerationRequest, vocabulary_size: int) -> Iterator[int]:
    """Return the usable part of a draft, which comes from an untrusted miner.

    It ends before the first token that the model does not have, and one token before `max_tokens`,
    since nothing is drawn after the last token.
    """
    possible = takewhile(lambda token: 0 <= token < vocabulary_size, request.draft)
    return islice(possible, request.max_tokens - 1)
