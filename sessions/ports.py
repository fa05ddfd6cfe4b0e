"""What sessions asks of the layers above it, which register it once (`register`)."""

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
    """A prompt that a model cannot read; the text says why and what to do."""


class PromptCounter(Protocol):
    """Reads prompts, tokens and grammars as the miners do."""

    def count(
        self, model_identifier: int, prompt: str, prompt_type: int, prompt_template: str
    ) -> int:
        """Input tokens of a prompt in its template.

        Raises:
            LookupError: no such model.
            PromptUnfit: the model cannot read this prompt.
        """

    def token_bytes(self, model_identifier: int, token: int) -> bytes:
        """What a token spells; nothing, if it is none. Raises LookupError: no such model."""

    def require_grammar(self, model_identifier: int, grammar: str) -> None:
        """Have a grammar (llguidance's Lark) read as a miner would.

        Raises:
            LookupError: no such model.
            PromptUnfit: it is none.
        """

    def context_length(self, model_identifier: int) -> int:
        """Tokens that input and output have together. Raises LookupError: no such model."""

    def defaults(self, model_identifier: int) -> LlmParams:
        """What a client gets that does not say. Raises LookupError: no such model."""


class Embedder(Protocol):
    """The router's own embedding model. Its methods take seconds: call them in a thread."""

    @property
    def name(self) -> str:
        """What clients call it."""

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector a text."""

    def count_tokens(self, text: str) -> int:
        """How many tokens of the text the model reads."""


class MinerEntry(TypedDict):
    """One connected miner, as `GET /api/v1/miners` shows it."""

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
    """One miner's part in a task, with the names of the network's public interface.

    Times are ISO 8601 or None; hashes `0x…` or None until they are known.
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
    """What an answer is worth beside another, by the rule for miners.

    `accuracy_bps` is in basis points, 0 for one that does not count; `distance` is the cosine
    distance.
    """

    accuracy_bps: int
    distance: float


@dataclass(frozen=True)
class TaskRecords:
    """Every miner's part in a task, and how far their answers are from each other.

    `result_cids` are the content addresses of the results, which the task's owner may fetch.
    """

    miners: list[MinerRecord] = field(default_factory=list)
    distances: list[Distance] = field(default_factory=list)
    result_cids: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What stands above sessions, one function or object for each question."""

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
    """Say what stands above. `make` is called when something is first asked, and once."""
    global _make, _ports
    _make, _ports = make, None


def registered() -> Ports:
    """What stands above. Raises ImproperlyConfigured where nobody has registered it."""
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
    """How many miners were heard of lately."""
    return registered().miners_online()


def miner_directory() -> list[MinerEntry]:
    """The miners that were heard of within a day, those online first."""
    return registered().miner_directory()


def task_records(task: Task) -> TaskRecords:
    """Every miner's part in a task."""
    return registered().task_records(task)


def sessions_of_result(cid: str) -> list[int]:
    """The sessions for whose tasks a miner has revealed the content of this address."""
    return registered().sessions_of_result(cid)


def kept_results(session_id: int, task_id: int) -> list[TaskResult]:
    """A task's results without its live stream, best first: those that count or, where it is not
    judged yet, those that were revealed. It reads files: call it in a thread."""
    return registered().kept_results(session_id, task_id)


def free_miners(task: Task, session: Session) -> Sequence[str]:
    """The addresses of the miners that get a new task, by position; none if it has to wait.

    It waits for no lock. Where it names miners, the caller holds the slot lock until its
    transaction ends.
    """
    return registered().free_miners(task, session)


def assign(task: Task, miners: Sequence[str], content: bytes) -> Op:
    """Lease a new task to the miners that `free_miners` named; the operation that assigns it.

    The task is written as assigned. The jobs go out when the caller's transaction commits, before
    anything that the caller has done on commit afterwards.

    Args:
        content: the block that the task's content address names, which is not read again.
    """
    return registered().assign(task, miners, content)


def judge_answer(answer: str, reference: str) -> AnswerWorth:
    """What an answer is worth beside a reference. It takes seconds: call it in a thread."""
    return registered().judge_answer(answer, reference)


def router_health() -> dict[str, bool]:
    """Which of the router's parts are alive."""
    return registered().router_health()


def parts_away() -> Mapping[str, float]:
    """The router's parts that are away, and for how many seconds. It costs next to nothing."""
    return registered().parts_away()


def router_address() -> str:
    """The account that this router submits from, in lower-case hex."""
    return registered().router_address().lower()
