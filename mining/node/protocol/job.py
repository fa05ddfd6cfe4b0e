"""The job that a router sends to a miner, and the facts that it writes into a mailbox."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Self

from chain.protocol.envelopes import InvalidKey, read_public_key
from chain.protocol.params import PromptType
from mining.node.protocol.sampling_params import SamplingParams, sampling_of
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
"""The largest number in a job. Python's integers are unlimited, but native code's are not."""
_OLDER_FORMS = {
    0: PromptType.CONTINUATION,
    1: PromptType.MESSAGE,
    2: PromptType.CONVERSATION,
}
"""The meaning of `prompt_type` in jobs of older routers, from before the published numbers."""


@dataclass(frozen=True, kw_only=True)
class JobGrammar(Wire):
    """The grammar of an answer, in Lark, with the library and the version that interpret it."""

    library: str
    version: str
    lark: str


@dataclass(frozen=True, kw_only=True)
class Job(Wire):
    """An assignment: what to generate, and the identity of the task that the miner signs.

    Args:
        assignment_id: a UUID in canonical form.
        session_id, task_id: the numbers of the task on chain.
        task_digest: the digest of the task, 32 bytes. Every signature of the miner carries it.
        chain_id, queue_address: the chain and the SessionQueue contract of the task.
        model_identifier: the number by which sessions ask for the model.
        prompt: the prompt. It is empty if the task is encrypted.
        prompt_form: a number of `PromptType`. The name is newer than the published numbers. A node
            that knows only the older numbers finds no `prompt_type`, and so refuses the job.
        prompt_template: the client's text around the prompt.
        max_tokens: the most tokens of the answer.
        temperature_x100, top_p_x100, top_k, presence_penalty_x100, frequency_penalty_x100: the
            sampling parameters, as on chain: `_x100` are in hundredths.
        deadline_at: when the job ends without a result, in Unix seconds.
        inline: whether the result is revealed as text. Otherwise its content address is revealed.
        stop: strings that end the answer. It is empty if the task is encrypted.
        logprobs: for how many of the likeliest tokens the result holds log-probabilities.
        logit_bias: what is added to the logit of each listed token, by token id.
        min_p: the probability that a token needs, relative to the likeliest one.
        grammar: the grammar of the answer, if it has one.
        seed: the 8 bytes that the client chose as seed. If it is empty, the digest is the seed.
        attempt: how many times this assignment's node has died with it.
        alone: whether nothing else may run beside the job. It may have crashed a node before.
        enough_characters: how many characters of the answer the client needs; -1 for all.
        sealed_prompt: the envelope of prompt and stop strings for this miner, if the task is
            encrypted.
        seal_for: the public keys (0x hex) for which the result is sealed.
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
            raise Malformed("queue_address", "is not an address", "send 0x and 40 hex digits")
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
            raise Malformed("logit_bias", "has a name that is not a token", "send token numbers")
        if not all(abs(bias) <= MAX_BIAS for bias in self.logit_bias.values()):
            raise Malformed("logit_bias", "has a value out of range", f"send at most ±{MAX_BIAS}")
        if not math.isfinite(self.deadline_at):
            raise Malformed("deadline_at", "is not a time", "send Unix seconds")

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a job, which may come from an older router. Raises Malformed."""
        if isinstance(value, Mapping) and "prompt_form" not in value:
            older = value.get("prompt_type")
            if isinstance(older, int) and older in _OLDER_FORMS:
                value = {**value, "prompt_form": int(_OLDER_FORMS[older])}
        return super().from_json(value)

    @property
    def sampling(self) -> SamplingParams:
        """The parameters in natural units."""
        return sampling_of(self, min_p=self.min_p, logit_bias=self.logit_bias)


@dataclass(frozen=True, kw_only=True)
class NetworkFacts(Wire):
    """The facts about a network that a router writes into a mailbox for its node.

    Args:
        chain_id: the chain.
        node_pool: the address of the NodePool contract.
        models: the SHA-256 (hex) of each model's file, by model identifier.
    """

    chain_id: int
    node_pool: str
    models: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_at_least("chain_id", self.chain_id, 1)
        if not ADDRESS.fullmatch(self.node_pool):
            raise Malformed("node_pool", "is not an address", "send 0x and 40 hex digits")
