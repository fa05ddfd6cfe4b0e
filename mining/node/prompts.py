"""A task's prompt as the tokens that a model reads, and how many they are.

A user's text is only ever text: the model's chat template is rendered once, with a mark in the
place of the message; its parts become special tokens, the text between them never does. That
also keeps the template, which is code from a model's file, away from what users write. It runs
in Jinja's immutable sandbox.
"""

import threading
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError as JinjaError
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from mining.node.llama import Model

PLAIN, CHAT = 0, 1
"""Prompt types: plain continuation, and a user's message for the model's chat template."""
PLACEHOLDER = "{prompt}"
MAX_CONTEXT_TOKENS = 8192
"""More than this is not served, however far a model was trained: every slot pays for it."""

_MARK = "c0ffee5e55104e5cafe0f0a7e5710bed"
_TODAY = datetime(2024, 7, 26)


class PromptError(Exception):
    """Base: a prompt cannot be put before this model. `code` is what a report says."""

    code = "prompt_refused"


class ContextExceeded(PromptError):
    """Prompt and answer together are longer than the model's context."""

    code = "context_exceeded"

    def __init__(self, prompt_tokens: int, max_tokens: int, context_tokens: int) -> None:
        super().__init__(
            f"prompt: its {prompt_tokens} tokens and max_tokens = {max_tokens} exceed the model's"
            f" context of {context_tokens} tokens; shorten the prompt or lower max_tokens"
        )
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_tokens = context_tokens


class PromptEmpty(PromptError):
    """There is no token to continue from."""

    code = "prompt_empty"


class TemplateUnusable(PromptError):
    """The model's chat template is missing, or does not show the user's message."""

    code = "template_unusable"


class ModelUnknown(PromptError):
    """No model has this identifier here."""

    code = "model_unknown"


class ModelPrompts:
    """How one model reads prompts. Threads may share it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.context_tokens = min(
            model.trained_context_tokens or MAX_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS
        )

    def tokenise(self, prompt: str, prompt_type: int, prompt_template: str = "") -> list[int]:
        """The tokens of a prompt.

        Args:
            prompt_type: 1 puts the text into the model's chat template, 0 continues it.
            prompt_template: the client's own words around the prompt, which stands where the
                first `{prompt}` is, or after all of it. They are text like the prompt.

        Raises:
            PromptEmpty: there is nothing to continue.
            TemplateUnusable: the model cannot chat.
            PromptError: the prompt type is unknown.
        """
        text = _wrap(prompt, prompt_template)
        if prompt_type == CHAT:
            tokens = list(self._chat_parts[0])
            for part in self._chat_parts[1:]:
                tokens += self._model.tokenise(text, special=False)
                tokens += part
        elif prompt_type == PLAIN:
            tokens = self._model.tokenise(text, special=False)
        else:
            raise PromptError(f"prompt_type: {prompt_type} is unknown; use 1 (chat) or 0 (plain)")
        if self._model.bos is not None and tokens[:1] != [self._model.bos]:
            tokens.insert(0, self._model.bos)
        if not tokens:
            raise PromptEmpty("prompt: it is empty and this model has no start token; write one")
        return tokens

    def require_room(self, prompt_tokens: int, max_tokens: int) -> None:
        """Raise ContextExceeded unless prompt and answer fit into the context."""
        if prompt_tokens + max_tokens > self.context_tokens:
            raise ContextExceeded(prompt_tokens, max_tokens, self.context_tokens)

    @cached_property
    def _chat_parts(self) -> list[list[int]]:
        """The chat template's tokens before, between and after the user's message."""
        if self._model.chat_template is None:
            raise TemplateUnusable("prompt_type: this model has no chat template; use 0 (plain)")
        formatter: Any = Jinja2ChatFormatter(
            self._model.chat_template,
            eos_token=self._model.eos_text,
            bos_token=self._model.bos_text,
        )
        # The same day for everybody: miners on either side of midnight have to agree.
        formatter.strftime_now = _TODAY.strftime
        try:
            rendered = formatter(messages=[{"role": "user", "content": _MARK}]).prompt
        except (JinjaError, ValueError, TypeError) as error:
            raise TemplateUnusable(f"model: its chat template fails: {error}") from error
        parts = [self._model.tokenise(part, special=True) for part in rendered.split(_MARK)]
        if len(parts) < 2:
            raise TemplateUnusable("model: its chat template leaves the user's message out")
        return parts


class PromptCounter:
    """Counts the tokens of prompts for the router, from the vocabularies of its models alone.

    A file is opened on first use and kept open. Threads may share one counter.
    """

    def __init__(self, models: Mapping[int, Path]) -> None:
        self._paths = dict(models)
        self._prompts: dict[int, ModelPrompts] = {}
        self._lock = threading.Lock()

    def count(
        self, model_identifier: int, prompt: str, prompt_type: int, prompt_template: str
    ) -> int:
        """How many tokens the model reads before it answers; raises as `tokenise`."""
        prompts = self._of(model_identifier)
        return len(prompts.tokenise(prompt, prompt_type, prompt_template))

    def context_length(self, model_identifier: int) -> int:
        """How many tokens prompt and answer may have together."""
        return self._of(model_identifier).context_tokens

    def _of(self, model_identifier: int) -> ModelPrompts:
        path = self._paths.get(model_identifier)
        if path is None:
            served = ", ".join(map(str, sorted(self._paths))) or "none"
            raise ModelUnknown(f"model_identifier: {model_identifier} is not served; use {served}")
        with self._lock:
            if model_identifier not in self._prompts:
                self._prompts[model_identifier] = ModelPrompts(Model(path, vocab_only=True))
            return self._prompts[model_identifier]


def _wrap(prompt: str, prompt_template: str) -> str:
    if PLACEHOLDER in prompt_template:
        return prompt_template.replace(PLACEHOLDER, prompt, 1)
    return f"{prompt_template}\n\n{prompt}" if prompt_template else prompt
