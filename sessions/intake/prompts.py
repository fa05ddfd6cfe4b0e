"""The prompt of a task, read from the chain or from content-addressed storage."""

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
"""More than any model reads. The limit guards against arbitrary content at a client's address."""


class PromptUnreadable(SessionsError):
    """The task's content is missing or is not a prompt. The text says which."""


class PromptUnreachable(PromptUnreadable):
    """The content store or the router's key is unavailable. A later attempt may succeed."""


class PromptMissing(PromptUnreadable):
    """The content was not found under its address in time. It may be stored there later."""


@dataclass(frozen=True)
class Prompt:
    """A prompt: the text to answer, where to stop, and the sampling options.

    `envelope` is the stored envelope of an encrypted prompt, and empty for others.
    """

    text: str
    stop: tuple[str, ...] = ()
    envelope: bytes = b""
    options: GenerationOptions = field(default_factory=GenerationOptions)


def prompt_of(task: Task, *, within_s: float = storage.CONTENT_WITHIN_S) -> Prompt:
    """Return the prompt of a task.

    Args:
        within_s: how many seconds reading the content may take.

    Raises:
        PromptUnreadable: the prompt cannot be read. It is a PromptUnreachable or a PromptMissing
            if a later attempt may succeed.
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
    """Return the prompt in a content block of a task.

    Raises:
        PromptUnreadable: the block holds no prompt.
        PromptUnreachable: the router's key, which decrypts the block, is missing.
    """
    envelope = block if is_envelope(block) else b""
    try:
        if envelope:
            block = encryption.unseal(task, Role.PROMPT, envelope)
            recipients(envelope)  # check the keys now: the result must be sealed for them later
        content = json.loads(block)
    except EncryptionUnavailable as error:
        raise PromptUnreachable(f"{task.task_data}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise PromptUnreadable(f"{task.task_data}: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("prompt"), str):
        raise PromptUnreadable(f"{task.task_data} is not an object with a 'prompt' string")
    stop = content.get("stop", [])
    if not isinstance(stop, list) or not all(isinstance(text, str) for text in stop):
        raise PromptUnreadable(f"'stop' in {task.task_data} is not a list of strings")
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
