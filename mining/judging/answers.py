"""A revealed answer as it can be checked: its content, its tokens, and what was streamed of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from chain import storage
from chain.protocol.envelopes import EnvelopeError, Role, recipients
from mining.errors import MiningError
from mining.models import Assignment
from mining.node.engine.pieces import TextAssembler
from mining.node.llm.llama import Model
from sessions.intake import encryption
from sessions.intake.prompts import Prompt
from sessions.logprobs import TokenLogprob, read_logprobs
from sessions.models import Task

CANCELLED = "cancelled"
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Four times what a report may have."""


class AnswerUnfit(MiningError):
    """The answer contradicts itself, the task or what was streamed; the text says how."""


@dataclass(frozen=True)
class Answer:
    """What a content block says."""

    text: str
    finish_reason: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Streamed:
    """What a miner's stream holds of an answer; `complete` if it says that this is all."""

    text: str
    complete: bool
    logprobs: tuple[TokenLogprob, ...] = ()


def read_answer(task: Task, assignment: Assignment) -> Answer:
    """The answer in an assignment's content block.

    Raises:
        AnswerUnfit: it is malformed, or belongs to another task or miner.
        StorageError, OSError: the block cannot be read.
        EncryptionUnavailable: it is encrypted, and the router's key is missing.
    """
    content = storage.get(assignment.content_cid, MAX_ANSWER_BYTES)
    if task.encrypted:
        try:
            content = encryption.unseal(task, Role.RESULT, content)
        except EnvelopeError as error:
            raise AnswerUnfit(f"content: {error}") from error
    return parse_answer(content, task, assignment.miner)


def parse_answer(content: bytes, task: Task, miner: str) -> Answer:
    """Read a content block. Raises AnswerUnfit."""
    try:
        value: Any = json.loads(content)
        said = {
            "session_id": value["session_id"],
            "task_id": value["task_id"],
            "task_digest": str(value["task_digest"]).lower(),
            "miner": str(value["miner"]).lower(),
        }
        text, finish_reason, token_ids = value["result"], value["finish_reason"], value["token_ids"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise AnswerUnfit(f"content: malformed ({type(error).__name__}: {error})") from error
    meant = {
        "session_id": task.session_id,
        "task_id": task.task_id,
        "task_digest": task.task_digest.lower(),
        "miner": miner.lower(),
    }
    for name, expected in meant.items():
        if said[name] != expected:
            raise AnswerUnfit(f"content: {name} is not {expected!r}")
    if not isinstance(text, str) or "\x00" in text:
        raise AnswerUnfit("content: result is no text")
    if finish_reason not in ("stop", "length", CANCELLED):
        raise AnswerUnfit(f"content: finish_reason is neither stop nor length nor {CANCELLED}")
    if not isinstance(token_ids, list) or not all(type(token) is int for token in token_ids):
        raise AnswerUnfit("content: token_ids is no list of numbers")
    return Answer(text, finish_reason, tuple(token_ids), _logprobs(value, token_ids))


def _logprobs(value: dict[str, Any], token_ids: list[int]) -> tuple[TokenLogprob, ...]:
    """Those of each token, where there are any."""
    if "logprobs" not in value:
        return ()
    try:
        rows = zip(token_ids, value["logprobs"], strict=True)
        return read_logprobs([[token, *row] for token, row in rows])
    except (TypeError, ValueError) as error:
        raise AnswerUnfit(f"content: {error}") from error


def require_sealed_for(assignment: Assignment, prompt: Prompt) -> None:
    """Raise AnswerUnfit unless an encrypted answer is sealed for all whom its prompt is sealed for.

    That each of them can open it, only they can tell.
    """
    if not prompt.envelope:
        return
    try:
        sealed_for = recipients(storage.get(assignment.content_cid, MAX_ANSWER_BYTES))
    except EnvelopeError as error:
        raise AnswerUnfit(f"content: {error}") from error
    if not set(recipients(prompt.envelope)) <= set(sealed_for):
        raise AnswerUnfit("content: it is not sealed for all whom the prompt is sealed for")


def require_streamed(answer: Answer, streamed: Streamed | None) -> None:
    """Raise AnswerUnfit unless what the client saw, if anything, is what is judged."""
    if streamed is None:
        return
    same = (
        streamed.text == answer.text if streamed.complete else answer.text.startswith(streamed.text)
    )
    if not same:
        raise AnswerUnfit("content: result is not what was streamed")
    if streamed.logprobs != answer.logprobs[: len(streamed.logprobs)]:
        raise AnswerUnfit("content: logprobs is not what was streamed")


def require_logprobs(answer: Answer, count: int) -> None:
    """Raise AnswerUnfit unless it tells as many log-probabilities as the task asks for."""
    if bool(count) != bool(answer.logprobs):
        raise AnswerUnfit(f"content: logprobs of {count} tokens are asked for")
    if any(len(each.top) != count for each in answer.logprobs):
        raise AnswerUnfit(f"content: logprobs has not {count} rivals of each token")


def read_stream(entries: Iterable[dict[bytes, bytes]]) -> Streamed | None:
    """Join the pieces of a miner's stream; None when there are none."""
    rows = list(entries)
    if not rows:
        return None
    text = b"".join(row.get(b"text", b"") for row in rows).decode(errors="replace")
    try:
        told = [read_logprobs(json.loads(row[b"logprobs"])) for row in rows if b"logprobs" in row]
    except (ValueError, RecursionError) as error:
        raise AnswerUnfit(f"stream: {error}") from error
    return Streamed(text, any(b"done" in row for row in rows), tuple(chain.from_iterable(told)))


def up_to(answer: Answer, characters: int, stop: Sequence[str], vocabulary: Model) -> Answer:
    """What counts of an answer that may end after so many characters, and its first token.

    An answer that has ended before, by its own end, counts as it is. Those of miners that drew the
    same tokens are then equal, wherever each of them was told to end.

    Raises:
        AnswerUnfit: it says that it was told to end, and ends before that.
    """
    assembler, text = TextAssembler(stop), ""
    for number, token in enumerate(answer.token_ids, start=1):
        if not vocabulary.is_end(token):
            text += assembler.feed(vocabulary.piece(token))
        if len(text) >= characters:
            if number == len(answer.token_ids) and answer.finish_reason != CANCELLED:
                return answer
            return Answer(text, CANCELLED, answer.token_ids[:number], answer.logprobs[:number])
    if answer.finish_reason == CANCELLED:
        raise AnswerUnfit("content: it ends before it was told to")
    return answer


def count_tokens(answer: Answer, max_tokens: int, stop: Sequence[str], vocabulary: Model) -> int:
    """How many tokens made the answer, from the tokens themselves.

    Raises:
        AnswerUnfit: they do not spell the answer, or are more than the task allows.
    """
    tokens = answer.token_ids
    if not 0 < len(tokens) <= max_tokens:
        raise AnswerUnfit(f"content: {len(tokens)} token_ids, and 1 to {max_tokens} count")
    if not all(0 <= token < vocabulary.vocabulary_size for token in tokens):
        raise AnswerUnfit("content: token_ids has what is no token of the model")
    assembler = TextAssembler(stop)
    spelt = []
    for index, token in enumerate(tokens):
        last = index == len(tokens) - 1
        ends = vocabulary.is_end(token)
        spelt.append(assembler.feed(b"" if ends else vocabulary.piece(token)))
        # Whoever pads an answer is paid for more than it said.
        if (ends or assembler.stopped) and not last:
            raise AnswerUnfit("content: token_ids goes on after the answer's end")
    spelt.append(assembler.finish())
    if "".join(spelt) != answer.text:
        raise AnswerUnfit("content: token_ids does not spell result")
    return len(tokens)
