"""Reads revealed answers and checks them: their content, their tokens and their streams."""

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
"""The largest content block of an answer: four times the largest report."""


class AnswerUnfit(MiningError):
    """The answer contradicts itself, the task or its stream. The text says how."""


@dataclass(frozen=True)
class Answer:
    """An answer as its content block states it."""

    text: str
    finish_reason: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Streamed:
    """The part of an answer that a miner's stream contains.

    `complete` is True if the stream has its last entry.
    """

    text: str
    complete: bool
    logprobs: tuple[TokenLogprob, ...] = ()


def read_answer(task: Task, assignment: Assignment) -> Answer:
    """Read the answer from an assignment's content block.

    Raises:
        AnswerUnfit: the content is malformed, or belongs to another task or miner.
        StorageError, OSError: the block cannot be read.
        EncryptionUnavailable: the content is encrypted, and the router's key is missing.
    """
    content = storage.get(assignment.content_cid, MAX_ANSWER_BYTES)
    if task.encrypted:
        try:
            content = encryption.unseal(task, Role.RESULT, content)
        except EnvelopeError as error:
            raise AnswerUnfit(f"content: {error}") from error
    return parse_answer(content, task, assignment.miner)


def parse_answer(content: bytes, task: Task, miner: str) -> Answer:
    """Parse and check the content block of a miner's answer to a task. Raises AnswerUnfit."""
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
        raise AnswerUnfit("content: result is not a text without NUL")
    if finish_reason not in ("stop", "length", CANCELLED):
        raise AnswerUnfit(f"content: finish_reason is neither stop nor length nor {CANCELLED}")
    if not isinstance(token_ids, list) or not all(type(token) is int for token in token_ids):
        raise AnswerUnfit("content: token_ids is not a list of integers")
    return Answer(text, finish_reason, tuple(token_ids), _logprobs(value, token_ids))


def _logprobs(value: dict[str, Any], token_ids: list[int]) -> tuple[TokenLogprob, ...]:
    """Return each token's log-probabilities, or an empty tuple if the content has none."""
    if "logprobs" not in value:
        return ()
    try:
        rows = zip(token_ids, value["logprobs"], strict=True)
        return read_logprobs([[token, *row] for token, row in rows])
    except (TypeError, ValueError) as error:
        raise AnswerUnfit(f"content: {error}") from error


def require_sealed_for(assignment: Assignment, prompt: Prompt) -> None:
    """Raise AnswerUnfit if an encrypted answer is not sealed for every recipient of its prompt.

    Only the recipients themselves can check that they can open it.
    """
    if not prompt.envelope:
        return
    try:
        sealed_for = recipients(storage.get(assignment.content_cid, MAX_ANSWER_BYTES))
    except EnvelopeError as error:
        raise AnswerUnfit(f"content: {error}") from error
    if not set(recipients(prompt.envelope)) <= set(sealed_for):
        raise AnswerUnfit("content: it is not sealed for every recipient of the prompt")


def require_streamed(answer: Answer, streamed: Streamed | None) -> None:
    """Raise AnswerUnfit if the answer differs from the stream that the client could read.

    None for `streamed` stands for a stream that is lost.
    """
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
    """Raise AnswerUnfit if the answer does not have the log-probabilities that the task requests.

    Args:
        answer: the answer.
        count: how many alternatives of each token the task requests; 0 for no log-probabilities.
    """
    if bool(count) != bool(answer.logprobs):
        raise AnswerUnfit(f"content: the task requests logprobs with {count} alternatives")
    if any(len(each.top) != count for each in answer.logprobs):
        raise AnswerUnfit(f"content: logprobs does not have {count} alternatives of each token")


def read_stream(entries: Iterable[dict[bytes, bytes]]) -> Streamed | None:
    """Join the entries of a miner's stream, or return None if there are none.

    Raises:
        AnswerUnfit: the entries are malformed.
    """
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
    """Cut an answer after the token that reaches a number of characters.

    This is the part that counts if the client has allowed the answer to end there. At least one
    token counts. An answer that ends earlier by itself counts as it is. The results of miners that
    drew the same tokens are then equal, even if the miners stopped at different places.

    Args:
        answer: the answer.
        characters: after how many characters the answer may end.
        stop: the task's stop texts.
        vocabulary: the model's vocabulary.

    Raises:
        AnswerUnfit: the answer states that it was cancelled, but ends before that place.
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
        raise AnswerUnfit("content: it ends earlier than the task allows")
    return answer


def count_tokens(answer: Answer, max_tokens: int, stop: Sequence[str], vocabulary: Model) -> int:
    """Check an answer's tokens against its text, and return their number.

    Raises:
        AnswerUnfit: the tokens do not spell the answer, or are more than the task allows.
    """
    tokens = answer.token_ids
    if not 0 < len(tokens) <= max_tokens:
        raise AnswerUnfit(
            f"content: it has {len(tokens)} token_ids, and 1 to {max_tokens} are allowed"
        )
    if not all(0 <= token < vocabulary.vocabulary_size for token in tokens):
        raise AnswerUnfit("content: token_ids has a number that is not a token of the model")
    assembler = TextAssembler(stop)
    spelt = []
    for index, token in enumerate(tokens):
        last = index == len(tokens) - 1
        ends = vocabulary.is_end(token)
        spelt.append(assembler.feed(b"" if ends else vocabulary.piece(token)))
        # Refuse padding: the miner would be paid for tokens that are not in the text.
        if (ends or assembler.stopped) and not last:
            raise AnswerUnfit("content: token_ids goes on after the answer's end")
    spelt.append(assembler.finish())
    if "".join(spelt) != answer.text:
        raise AnswerUnfit("content: token_ids does not spell result")
    return len(tokens)
