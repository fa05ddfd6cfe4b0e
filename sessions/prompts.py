"""The prompt of a task, wherever it lies: on chain, or in the content-addressed storage."""

import json
from dataclasses import dataclass, field

from chain import storage
from sessions.completion import MAX_STOP_CHARACTERS, MAX_STOPS
from sessions.errors import SessionsError
from sessions.models import Task
from sessions.options import GenerationOptions, OptionsUnreadable


class PromptUnreadable(SessionsError):
    """The task's content is not there, or no prompt; the text says which."""


@dataclass(frozen=True)
class Prompt:
    """What miners are to answer, where they have to stop, and how they draw."""

    text: str
    stop: tuple[str, ...] = ()
    options: GenerationOptions = field(default_factory=GenerationOptions)


def prompt_of(task: Task) -> Prompt:
    """The prompt of a task.

    Raises:
        PromptUnreadable: it cannot be had.
    """
    if task.inline:
        return Prompt(task.task_data)
    try:
        content = json.loads(storage.get(task.prompt_cid))
    except (storage.StorageError, ValueError, RecursionError) as error:
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
    return Prompt(content["prompt"], tuple(stop), options)
