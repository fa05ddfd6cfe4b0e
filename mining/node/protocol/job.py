"""What a router hands to a miner. The router imports this module too."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Self

from chain.protocol.envelopes import InvalidKey, read_public_key
from chain.protocol.params import PromptType
from mining.node.protocol.sampling_params import SamplingParams
from mining.node.protocol.wire import (
    ADDRESS,
    Malformed,
    Wire,
    require_at_least,
    require_at_most,
    require_uuid,
)

MAX_LOGPROBS = 20
SEED_BYTES = 8
MAX_BIAS = 1_000.0
_LARGEST = 2**63 - 1
"""What native code and floats can hold; Python's own numbers have no end."""
_OLDER_FORMS = {
    0: PromptType.CONTINUATION,
    1: PromptType.MESSAGE,
    2: PromptType.CONVERSATION,
}
"""What `prompt_type` said in jobs of routers from before the published numbers."""


@dataclass(frozen=True, kw_only=True)
class JobGrammar(Wire):
    """What the answer has to keep to, and the library and version that say what that means."""

    library: str
    version: str
    lark: str


@dataclass(frozen=True, kw_only=True)
class Job(Wire):
    """One assignment: what to generate, and what to sign it as.

    `deadline_at` is in Unix seconds, parameters are in hundredths as on chain. `inline` says
    whether the result is revealed as text or by its content address. `logprobs`, `logit_bias`
    (by token) and `min_p` are as in `GenerationRequest` and `SamplingParams`.
    `prompt_form` is a number of `PromptType`. Its name is newer than the published numbers: a node
    that reads by the older ones finds no `prompt_type`, and refuses the job.
    `seed` is what draws are made from, if it is not the digest: 8 bytes that the client chose.
    `attempt` counts the times that this assignment's node died with it; one that is to run `alone`
    may have been why, here or elsewhere, and nothing else may run beside it.
    `enough_characters` is where the answer may end since nobody waits for more; -1 is nowhere.

    Of an encrypted task, `prompt` and `stop` are empty; `sealed_prompt` is their envelope for this
    miner, and `seal_for` has the public keys (0x hex) that the result is to be sealed for.
    """

    assignment_id: str
    session_id: int
    task_id: int
    task_digest: bytes
    chain_id: int
    queue_address: str
    model_identifier: int
    prompt: str
    prompt_form: int
    prompt_template: str
    max_tokens: int
    temperature_x100: int
    top_p_x100: int
    top_k: int
    presence_penalty_x100: int
    frequency_penalty_x100: int
    stop: list[str] = field(default_factory=list)
    deadline_at: float
    inline: bool
    sealed_prompt: str = ""
    seal_for: list[str] = field(default_factory=list)
    logprobs: int = 0
    logit_bias: dict[int, float] = field(default_factory=dict)
    grammar: JobGrammar | None = None
    min_p: float = 0.0
    seed: bytes = b""
    enough_characters: int = -1
    attempt: int = 0
    alone: bool = False

    def __post_init__(self) -> None:
        require_uuid(self.assignment_id)
        if len(self.task_digest) != 32:
            raise Malformed("task_digest", f"has {len(self.task_digest)} bytes", "send 32")
        if len(self.seed) not in (0, SEED_BYTES):
            raise Malformed("seed", f"has {len(self.seed)} bytes", f"send {SEED_BYTES} or none")
        if not ADDRESS.fullmatch(self.queue_address):
            raise Malformed("queue_address", "is no address", "send 0x and 40 hex digits")
        for name in ("session_id", "task_id", "prompt_form", "top_k", "logprobs", "attempt"):
            require_at_least(name, getattr(self, name), 0)
        for name in ("chain_id", "max_tokens"):
            require_at_least(name, getattr(self, name), 1)
        for item in fields(self):
            if item.name.endswith("_x100"):
                require_at_least(item.name, getattr(self, item.name), 0)
        if bool(self.sealed_prompt) != bool(self.seal_for):
            raise Malformed("seal_for", "does not go with sealed_prompt", "send both or neither")
        for key in self.seal_for:
            try:
                read_public_key(key)
            except InvalidKey as error:
                raise Malformed("seal_for", str(error), "send X25519 public keys") from error
        if self.logprobs > MAX_LOGPROBS:
            raise Malformed("logprobs", f"is {self.logprobs}", f"send at most {MAX_LOGPROBS}")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int) and item.name != "model_identifier":
                require_at_most(item.name, value, _LARGEST)
        if not 0 <= self.min_p <= 1:
            raise Malformed("min_p", f"is {self.min_p}", "send 0 to 1")
        if not all(token < 2**31 for token in self.logit_bias):
            raise Malformed("logit_bias", "has what is no token", "send token numbers as names")
        if not all(abs(bias) <= MAX_BIAS for bias in self.logit_bias.values()):
            raise Malformed("logit_bias", "has a value out of range", f"send at most ±{MAX_BIAS}")
        if not math.isfinite(self.deadline_at):
            raise Malformed("deadline_at", "is no time", "send Unix seconds")

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a job, one of an older router as well; raise Malformed."""
        if isinstance(value, Mapping) and "prompt_form" not in value:
            older = value.get("prompt_type")
            if isinstance(older, int) and older in _OLDER_FORMS:
                value = {**value, "prompt_form": int(_OLDER_FORMS[older])}
        return super().from_json(value)

    @property
    def sampling(self) -> SamplingParams:
        """The parameters in natural units."""
        return SamplingParams(
            temperature=self.temperature_x100 / 100,
            top_p=self.top_p_x100 / 100,
            top_k=self.top_k,
            presence_penalty=self.presence_penalty_x100 / 100,
            frequency_penalty=self.frequency_penalty_x100 / 100,
            min_p=self.min_p,
            logit_bias=self.logit_bias,
        )


@dataclass(frozen=True, kw_only=True)
class NetworkFacts(Wire):
    """What a router writes into a mailbox for the node that opens it.

    `models` has the SHA-256 (hex) of the file of each model that sessions can ask for.
    """

    chain_id: int
    node_pool: str
    models: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_at_least("chain_id", self.chain_id, 1)
        if not ADDRESS.fullmatch(self.node_pool):
            raise Malformed("node_pool", "is no address", "send 0x and 40 hex digits")
