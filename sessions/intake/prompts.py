"""The prompt of a task, wherever it lies: on chain, or in the content-addressed storage."""

import json
from dataclasses import dataclass, field

from chain import storage
from chain.protocol.envelopes import Role, is_envelope, recipients
from sessions.errors import EncryptionUnavailable, SessionsError
from sessions.intake import encryption
from sessions.intake.options import GenerationOptions, OptionsUnreadable
from sessions.intake.request import MAX_STOP_CHARACTERS, MAX_STOPS
from sessions.models import Task

MAX_PROMPT_BYTES = 4 * 1024 * 1024
"""More than any model reads; a client may have stored anything under its address."""


class PromptUnreadable(SessionsError):
    """The task's content is not there, or no prompt; the text says which."""


class PromptUnreachable(PromptUnreadable):
    """Nobody can tell now: the store or the router's key does not answer. It may later."""


class PromptMissing(PromptUnreadable):
    """Nobody has the content under its address, or is heard of in time. It may be put there yet."""


@dataclass(frozen=True)
class Prompt:
    """What miners are to answer, where they have to stop, and how they draw.

    `envelope` is how it is stored, if it is encrypted.
    """

    text: str
    stop: tuple[str, ...] = ()
    envelope: bytes = b""
    options: GenerationOptions = field(default_factory=GenerationOptions)


def prompt_of(task: Task, *, within_s: float = storage.CONTENT_WITHIN_S) -> Prompt:
    """The prompt of a task.

    Args:
        within_s: seconds for its content.

    Raises:
        PromptUnreadable: it cannot be had; PromptUnreachable or PromptMissing if it may be later.
    """
    if task.inline:
        return Prompt(task.task_data)
    try:
        stored = storage.get(task.prompt_cid, MAX_PROMPT_BYTES, within_s=within_s)
    except storage.BlockMissing as error:
        raise PromptMissing(f"{task.task_data}: {error}") from error
    except (storage.StorageUnavailable, storage.ContentTooSlow) as error:
        raise PromptUnreachable(f"{task.task_data}: {error}") from error
    except (storage.StorageError, ValueError) as error:
        raise PromptUnreadable(f"{task.task_data}: {error}") from error
    return read_prompt(task, stored)


def read_prompt(task: Task, block: bytes) -> Prompt:
    """The prompt in the block that a task's content address names.

    Raises:
        PromptUnreadable: there is none; PromptUnreachable where the router's key is missing.
    """
    envelope = block if is_envelope(block) else b""
    try:
        if envelope:
            block = encryption.unseal(task, Role.PROMPT, envelope)
            recipients(envelope)  # a result could not be sealed for a key that is none
        content = json.loads(block)
    except EncryptionUnavailable as error:
        raise PromptUnreachable(f"{task.task_data}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise PromptUnreadable(f"{task.task_data}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("prompt"), str):
        raise PromptUnreadable(f"{task.task_data} is no object with a 'prompt' string")
    stop = content.get("stop", [])
    if not isinstance(stop, list) or not all(isinstance(text, str) for text in stop):
        raise PromptUnreadable(f"'stop' in {task.task_data} is no list of strings")
    if len(stop) > MAX_STOPS or any(not 1 <= len(text) <= MAX_STOP_CHARACTERS for text in stop):
        raise PromptUnreadable(
            f"'stop' in {task.task_data} may have {MAX_STOPS} strings of 1 to"
            f" {MAX_STOP_CHARACTERS} characters"
        )
    try:
        options = GenerationOptions.from_content(content)
    except OptionsUnreadable as error:
        raise PromptUnreadable(f"{task.task_data}: {error}") from error
    return Prompt(content["prompt"], tuple(stop), envelope, options)
