"""One request on its way through an engine's cells."""

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
    """What a request still has to read, and what its answer has so far."""

    generation: Generation
    pending: list[int]
    """Tokens that the model has not read yet: of the prompt, then of the answer or its draft."""
    unread_prompt: int
    """How many of them are of the prompt."""
    assembler: TextAssembler
    grammar: Grammar | None
    slot: int = -1
    begun: bool = False
    """Whether any of it is read, or copied from another slot."""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    drawn: dict[int, int] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, generation: Generation, grammar: Grammar | None, vocabulary_size: int
    ) -> "SequenceState":
        """The state of a request of which nothing is read."""
        request = generation.request
        prompt, draft = request.prompt_tokens, _draft(request, vocabulary_size)
        assembler = TextAssembler(request.stop)
        return cls(generation, [*prompt, *draft], len(prompt), assembler, grammar)

    @property
    def unread(self) -> Unread:
        """What of it may be read next."""
        if self.unread_prompt and reads_in_tiles(len(self.generation.request.prompt_tokens)):
            return Unread(self.unread_prompt, in_tiles=True)
        return Unread(len(self.pending), in_tiles=False)

    @property
    def is_generating(self) -> bool:
        """Whether it has nothing to read but the token that was drawn last."""
        return bool(self.token_ids) and len(self.pending) == 1

    def read(self, count: int) -> int:
        """Take tokens off what is pending; behind how many of them an answer's token is drawn."""
        outputs = min(count, max(0, count - self.unread_prompt + 1))
        del self.pending[:count]
        self.unread_prompt = max(0, self.unread_prompt - count)
        return outputs


def _draft(request: GenerationRequest, vocabulary_size: int) -> Iterator[int]:
    """What is worth reading of a draft: a stranger's, who may have made anything up."""
    possible = takewhile(lambda token: 0 <= token < vocabulary_size, request.draft)
    return islice(possible, request.max_tokens - 1)
