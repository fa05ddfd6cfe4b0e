"""Test implementations of `sessions.ports`: a counter of words, and a few miners."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from chain.operations import Op, assign_task
from chain.protocol.params import LlmParams, PromptType
from sessions import ports
from sessions.models import Session, Task
from sessions.ports import AnswerWorth, MinerEntry, Ports, PromptUnfit, TaskRecords
from sessions.results import TaskResult

ROUTER = "0x" + "a1" * 20
MINER = "0x" + "b2" * 20
MODEL = 1
CONTEXT_LENGTH = 64
DEFAULTS = LlmParams(
    max_tokens=48,
    temperature_x100=70,
    top_p_x100=90,
    top_k=40,
    presence_penalty_x100=10,
    frequency_penalty_x100=20,
)


class WordCounter:
    """A tokeniser whose tokens are words."""

    def count(
        self, model_identifier: int, prompt: str, prompt_type: int, prompt_template: str
    ) -> int:
        if model_identifier != MODEL:
            raise LookupError(f"model {model_identifier}")
        if prompt == "unreadable":
            raise PromptUnfit("the prompt cannot be read")
        around = 0 if prompt_type == PromptType.CONTINUATION else 1
        return len(prompt.split()) + len(prompt_template.split()) + around

    def token_bytes(self, model_identifier: int, token: int) -> bytes:
        return f"<{token}>".encode()

    def require_grammar(self, model_identifier: int, grammar: str) -> None:
        if "unreadable" in grammar:
            raise PromptUnfit("the grammar cannot be read")

    def context_length(self, model_identifier: int) -> int:
        if model_identifier != MODEL:
            raise LookupError(f"model {model_identifier}")
        return CONTEXT_LENGTH

    def defaults(self, model_identifier: int) -> LlmParams:
        self.context_length(model_identifier)
        return DEFAULTS


class LetterEmbedder:
    """An embedding that counts three letters in a text."""

    name = "letters"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[float(text.count(letter)) for letter in "abc"] for text in texts]

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def judge_answer(answer: str, reference: str) -> AnswerWorth:
    """Judge an answer: full worth if equal, less if it has the same words in another order."""
    if answer == reference:
        return AnswerWorth(10_000, 0.0)
    same = sorted(answer.split()) == sorted(reference.split())
    return AnswerWorth(9_000, 0.1) if same else AnswerWorth(0, 0.8)


def miners_online() -> int:
    return 3


def no_miners_online() -> int:
    return 0


def miner_directory() -> list[MinerEntry]:
    return [
        MinerEntry(
            address=MINER,
            state="ephemeral",
            reputation=5,
            online=True,
            slots=4,
            in_flight=1,
            tokens_per_s=20.0,
            models=[MODEL],
            loaded={str(MODEL): 20.0},
            draining=False,
            software="test",
            last_seen_at=None,
        )
    ]


def task_records(task: Task) -> TaskRecords:
    return TaskRecords()


def kept_results(session_id: int, task_id: int) -> list[TaskResult]:
    return []


def sessions_of_result(cid: str) -> list[int]:
    return []


def no_free_miners(task: Task, session: Session) -> list[str]:
    return []


def one_free_miner(task: Task, session: Session) -> list[str]:
    return [MINER]


def assign(task: Task, miners: Sequence[str], content: bytes) -> Op:
    return assign_task(task.session_id, task.task_id, miners, int(task.model_identifier))


def router_health() -> dict[str, bool]:
    return {"dispatch": True, "sync": False}


def parts_away() -> dict[str, float]:
    return {}


def router_address() -> str:
    return ROUTER


FAKES = Ports(
    prompt_counter=WordCounter(),
    embedder=LetterEmbedder(),
    miners_online=miners_online,
    miner_directory=miner_directory,
    task_records=task_records,
    sessions_of_result=sessions_of_result,
    kept_results=kept_results,
    free_miners=no_free_miners,
    assign=assign,
    judge_answer=judge_answer,
    router_health=router_health,
    parts_away=parts_away,
    router_address=router_address,
)


def replace_ports(**changes: Any) -> None:
    """Replace some ports for the rest of a test. The fixture `layers_above` restores them."""
    changed = replace(ports.registered(), **changes)
    ports.register(lambda: changed)
