"""The functions that sessions needs from the layers above it. They register it (`register`)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

from django.core.exceptions import ImproperlyConfigured

from chain.operations import Op
from chain.protocol.params import LlmParams
from sessions.errors import SessionsError
from sessions.models import Session, Task
from sessions.results import TaskResult


class PromptUnfit(SessionsError):
    """A model cannot read a prompt. The text says why and what to do."""


class PromptCounter(Protocol):
    """Interprets prompts, tokens and grammars in the same way as the miners."""

    def count(
        self, model_identifier: int, prompt: str, prompt_type: int, prompt_template: str
    ) -> int:
        """Return the number of input tokens of a prompt in its template.

        Raises:
            LookupError: the model is unknown.
            PromptUnfit: the model cannot read this prompt.
        """

    def token_bytes(self, model_identifier: int, token: int) -> bytes:
        """Return a token's bytes, or none if there is no such token.

        Raises:
            LookupError: the model is unknown.
        """

    def require_grammar(self, model_identifier: int, grammar: str) -> None:
        """Check that miners can use a grammar (llguidance's Lark).

        Raises:
            LookupError: the model is unknown.
            PromptUnfit: the grammar is not valid.
        """

    def context_length(self, model_identifier: int) -> int:
        """Return how many tokens input and output may have together.

        Raises:
            LookupError: the model is unknown.
        """

    def defaults(self, model_identifier: int) -> LlmParams:
        """Return the parameters that apply if a client states none.

        Raises:
            LookupError: the model is unknown.
        """


class Embedder(Protocol):
    """The router's own embedding model. Its methods take seconds: call them in a thread."""

    @property
    def name(self) -> str:
        """The model name that clients use."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one unit vector for each text."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""


class MinerEntry(TypedDict):
    """A connected miner, in the shape of `GET /api/v1/miners`."""

    address: str
    state: str
    reputation: int
    online: bool
    slots: int
    in_flight: int
    tokens_per_s: float
    models: list[Any]
    loaded: dict[str, float]
    draining: bool
    software: str
    last_seen_at: str | None


class MinerRecord(TypedDict):
    """A miner's part in a task, with the member names of the public interface.

    Times are ISO 8601 and hashes `0x…`. They are None until they are known.
    """

    address: str
    status: str
    text: str | None
    ack: bool
    acked_at: str | None
    precommit_at: str | None
    commit_at: str | None
    inference_sec: float | None
    words: int | None
    tokens: int | None
    data_hash: str | None
    calculated_hash: str | None
    hash_verified: bool | None
    finish_reason: str | None
    input_tokens: int | None
    accuracy_bps: int | None
    paid_wei: str
    precommit_tx: str | None
    commit_tx: str | None
    failure: str | None


class Distance(TypedDict):
    """The cosine distance between two miners' answers."""

    a: str
    b: str
    distance: float


@dataclass(frozen=True)
class AnswerWorth:
    """The value of an answer beside a reference, by the rule that applies to miners.

    `accuracy_bps` is in basis points, 0 if the answer does not count. `distance` is the cosine
    distance.
    """

    accuracy_bps: int
    distance: float


@dataclass(frozen=True)
class TaskRecords:
    """Every miner's part in a task, and the distances between their answers.

    `result_cids` are the content addresses of the results. The task's owner may fetch these.
    """

    miners: list[MinerRecord] = field(default_factory=list)
    distances: list[Distance] = field(default_factory=list)
    result_cids: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The functions and objects that the layers above sessions provide."""

    prompt_counter: PromptCounter
    embedder: Embedder
    miners_online: Callable[[], int]
    miner_directory: Callable[[], list[MinerEntry]]
    task_records: Callable[[Task], TaskRecords]
    sessions_of_result: Callable[[str], list[int]]
    kept_results: Callable[[int, int], list[TaskResult]]
    free_miners: Callable[[Task, Session], Sequence[str]]
    assign: Callable[[Task, Sequence[str], bytes], Op]
    judge_answer: Callable[[str, str], AnswerWorth]
    router_health: Callable[[], dict[str, bool]]
    parts_away: Callable[[], Mapping[str, float]]
    router_address: Callable[[], str]


_make: Callable[[], Ports] | None = None
_ports: Ports | None = None


def register(make: Callable[[], Ports]) -> None:
    """Register the layers above. `make` is called once, on first use."""
    global _make, _ports
    _make, _ports = make, None


def registered() -> Ports:
    """Return what was registered. Raises ImproperlyConfigured if nothing was."""
    global _ports
    if _ports is None:
        if _make is None:
            raise ImproperlyConfigured("nothing is registered with sessions.ports")
        _ports = _make()
    return _ports


def prompt_counter() -> PromptCounter:
    return registered().prompt_counter


def embedder() -> Embedder:
    return registered().embedder


def miners_online() -> int:
    """Return how many miners have been online lately."""
    return registered().miners_online()


def miner_directory() -> list[MinerEntry]:
    """Return the miners that were online within a day, those online now first."""
    return registered().miner_directory()


def task_records(task: Task) -> TaskRecords:
    """Return every miner's part in a task."""
    return registered().task_records(task)


def sessions_of_result(cid: str) -> list[int]:
    """Return the sessions with a task for which a miner has revealed the content of this CID."""
    return registered().sessions_of_result(cid)


def kept_results(session_id: int, task_id: int) -> list[TaskResult]:
    """Return a task's stored results, best first, without its live stream.

    These are the results that count. If the task is not judged yet, these are the revealed ones.
    The function reads files: call it in a thread.
    """
    return registered().kept_results(session_id, task_id)


def free_miners(task: Task, session: Session) -> Sequence[str]:
    """Return the addresses of the miners for a new task by position, or none if it has to wait.

    The function waits for no lock. If it returns miners, the caller's transaction holds the slot
    lock until it ends.
    """
    return registered().free_miners(task, session)


def assign(task: Task, miners: Sequence[str], content: bytes) -> Op:
    """Lease a new task to the miners that `free_miners` returned, and return the operation for it.

    The operation assigns the task on chain, and the task is written as assigned. The jobs are sent
    when the caller's transaction commits, before the caller's later on-commit functions.

    Args:
        content: the block under the task's content address. It is not read again.
    """
    return registered().assign(task, miners, content)


def judge_answer(answer: str, reference: str) -> AnswerWorth:
    """Return an answer's value beside a reference. It takes seconds: call it in a thread."""
    return registered().judge_answer(answer, reference)


def router_health() -> dict[str, bool]:
    """Return which parts of the router are alive."""
    return registered().router_health()


def parts_away() -> Mapping[str, float]:
    """Return for how many seconds each missing part of the router is away. Cheap to call."""
    return registered().parts_away()


def router_address() -> str:
    """Return the account that this router submits from, in lower-case hex."""
    return registered().router_address().lower()
