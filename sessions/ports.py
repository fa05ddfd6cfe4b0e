"""What sessions asks of the layers above it, by dotted paths in the settings.

| setting | type |
|---|---|
| `PROMPT_COUNTER` | `PromptCounter` |
| `MINERS_ONLINE` | `() -> int`: how many miners have been heard of lately |
| `MINER_DIRECTORY` | `() -> list[MinerEntry]` |
| `TASK_RECORDS` | `(Task) -> TaskRecords` |
| `SESSIONS_OF_RESULT` | `(cid) -> list[int]`: `sessions_of_result` |
| `KEPT_RESULTS` | `(session_id, task_id) -> list[Result]`: `kept_results` |
| `EMBEDDER` | `Embedder` |
| `TASK_GIVER` | `(Task, Session, Op) -> bool`: `give_task` |
| `ANSWER_JUDGE` | `(answer, reference) -> AnswerWorth` |
| `ROUTER_HEALTH` | `() -> dict[str, bool]`: which of the router's parts are alive |
| `PARTS_AWAY` | `() -> Mapping[str, float]`: those that are not, and for how many seconds |
| `ROUTER_ADDRESS` | `() -> str`: the account that this router submits from |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict, cast

from django.conf import settings
from django.utils.module_loading import import_string

from chain.operations import Op
from chain.protocol.params import LlmParams
from sessions.errors import SessionsError
from sessions.models import Session, Task
from sessions.results import Result


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


def prompt_counter() -> PromptCounter:
    return cast(PromptCounter, import_string(settings.PROMPT_COUNTER))


def embedder() -> Embedder:
    return cast(Embedder, import_string(settings.EMBEDDER))


def miners_online() -> int:
    return cast(Callable[[], int], import_string(settings.MINERS_ONLINE))()


def give_task(task: Task, session: Session, submission: Op) -> bool:
    """Write a new task and its submission down as given to miners, and tell who follows it.

    All of it is part of the caller's transaction. False if the task has to wait; then nothing is
    written, and nobody told. It waits for no lock.
    """
    giver = import_string(settings.TASK_GIVER)
    return cast(Callable[[Task, Session, Op], bool], giver)(task, session, submission)


def miner_directory() -> list[MinerEntry]:
    return cast(Callable[[], list[MinerEntry]], import_string(settings.MINER_DIRECTORY))()


def sessions_of_result(cid: str) -> list[int]:
    """The sessions for whose tasks a miner has revealed the content of this address."""
    finder = import_string(settings.SESSIONS_OF_RESULT)
    return cast(Callable[[str], list[int]], finder)(cid)


def task_records(task: Task) -> TaskRecords:
    return cast(Callable[[Task], TaskRecords], import_string(settings.TASK_RECORDS))(task)


def kept_results(session_id: int, task_id: int) -> list[Result]:
    """A task's results without its live stream, best first: those that count or, where it is not
    judged yet, those that were revealed. It reads files: call it in a thread."""
    kept = import_string(settings.KEPT_RESULTS)
    return cast(Callable[[int, int], list[Result]], kept)(session_id, task_id)


def judge_answer(answer: str, reference: str) -> AnswerWorth:
    """Takes seconds: call it in a thread."""
    judge = import_string(settings.ANSWER_JUDGE)
    return cast(Callable[[str, str], AnswerWorth], judge)(answer, reference)


def router_health() -> dict[str, bool]:
    return cast(Callable[[], dict[str, bool]], import_string(settings.ROUTER_HEALTH))()


def parts_away() -> Mapping[str, float]:
    """The router's parts that are away, and for how many seconds. It costs next to nothing."""
    return cast(Callable[[], Mapping[str, float]], import_string(settings.PARTS_AWAY))()


def router_address() -> str:
    """Lower-case hex."""
    return cast(Callable[[], str], import_string(settings.ROUTER_ADDRESS))().lower()
