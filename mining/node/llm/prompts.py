"""A task's prompt as the tokens that a model reads, and how many they are.

A user's text is only ever text: the model's chat template is rendered with a mark in the place of
each message; its parts become special tokens, the text between them never does. That
also keeps the template, which is code from a model's file, away from what users write. It runs
in Jinja's immutable sandbox.

There is one exception: a prompt of the type `RAW` that holds control tokens of the template. Its
client has put it into the template itself, and its control tokens are read as such. They can do
no harm beyond that prompt, which nobody else's text is a part of.
"""

import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path

from chain.protocol.params import PromptType
from mining.node.llm.llama import Model
from mining.node.llm.profiles import profile_of
from mining.node.llm.templates import Template, TemplateFails
from mining.node.protocol.chat import Message, MessagesUnreadable, read_messages

PLAIN, CHAT, MESSAGES = PromptType.CONTINUATION, PromptType.MESSAGE, PromptType.CONVERSATION
RAW, SYSTEM = PromptType.RAW, PromptType.SYSTEM
PLACEHOLDER = "{prompt}"

_MARK = "c0ffee5e55104e5cafe0f0a7e5710bed"
_MARKS = re.compile(_MARK + r"(\d{4})")
_KEPT_TEMPLATES = 64
"""How many rendered templates are remembered, one for each sequence of roles."""
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


class MessagesUnfit(PromptError):
    """The conversation is none, or the model's chat template does not take its turns."""

    code = "messages_unfit"


class ModelUnknown(PromptError):
    """No model has this identifier here."""

    code = "model_unknown"


class ModelPrompts:
    """How one model reads prompts. Threads may share it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._templates: dict[tuple[str, ...], list[list[int] | int]] = {}
        profile = profile_of(model)
        self.defaults = profile.params
        """What a task has that names no parameters of its own."""
        self._served_tokens = self.context_tokens = profile.context_tokens

    def tokenise(self, prompt: str, prompt_type: int, prompt_template: str = "") -> list[int]:
        """The tokens of a prompt.

        Args:
            prompt_type: a number of `PromptType`.
            prompt_template: the client's own words around the prompt, which stands where the
                first `{prompt}` is, or after all of it. They are text like the prompt. With
                `SYSTEM` they are the system message. A conversation takes none.

        Raises:
            PromptEmpty: there is nothing to continue.
            TemplateUnusable: the model cannot chat.
            MessagesUnfit: the messages cannot be read, or the template does not take their turns.
            PromptError: the prompt type is unknown.
        """
        if prompt_type == PLAIN:
            tokens = self._model.tokenise(_wrap(prompt, prompt_template), special=False)
        elif prompt_type == CHAT:
            tokens = self._chat([Message("user", _wrap(prompt, prompt_template))])
        elif prompt_type == RAW:
            tokens = self._raw(_wrap(prompt, prompt_template))
        elif prompt_type == SYSTEM:
            tokens = self._with_system(prompt_template, prompt)
        elif prompt_type == MESSAGES:
            if prompt_template:
                raise MessagesUnfit(
                    "prompt_template: it has no place around messages; leave it out"
                )
            tokens = self._chat(_messages(prompt))
        else:
            known = ", ".join(f"{each.value} ({each.name.lower()})" for each in PromptType)
            raise PromptError(f"prompt_type: {prompt_type} is unknown; use one of {known}")
        if self._model.bos is not None and tokens[:1] != [self._model.bos]:
            tokens.insert(0, self._model.bos)
        if not tokens:
            raise PromptEmpty("prompt: it is empty and this model has no start token; write one")
        return tokens

    def require_room(self, prompt_tokens: int, max_tokens: int) -> None:
        """Raise ContextExceeded unless prompt and answer fit into the context."""
        if prompt_tokens + max_tokens > self.context_tokens:
            raise ContextExceeded(prompt_tokens, max_tokens, self.context_tokens)

    def answer_tokens(self, prompt_tokens: int, max_tokens: int) -> int:
        """How long an answer may be: `max_tokens`, or what the model's context has room for.

        Clients of the chain ask for thousands of tokens without knowing the model. All miners of a
        model end at the same place; one that holds less than the model can does not end sooner.

        Raises:
            ContextExceeded: the prompt leaves no room, or more than this machine has is needed.
        """
        most = min(max_tokens, max(self._served_tokens - prompt_tokens, 1))
        self.require_room(prompt_tokens, most)
        return most

    def _raw(self, text: str) -> list[int]:
        """A text with control tokens of the template as it is; any other as a user's message."""
        bos = self._model.bos_text if self._model.bos is not None else ""
        begun = text.lstrip() if bos and text.lstrip().startswith(bos) else ""
        if begun or any(name in text for name in self._controls):
            # A start token behind white space would be doubled.
            return self._model.tokenise(begun or text, special=True)
        return self._chat([Message("user", text)])

    def _with_system(self, system: str, text: str) -> list[int]:
        message = Message("user", text)
        if not system:
            return self._chat([message])
        try:
            return self._chat([Message("system", system), message])
        except MessagesUnfit:
            # Some templates know no system message; their models are told in the user's words.
            return self._chat([Message("user", f"{system}\n\n{text}")])

    @cached_property
    def _controls(self) -> tuple[str, ...]:
        """The control tokens that the chat template writes, but for the start token.

        That one says something at the beginning only: `<s>` is HTML as well.
        """
        found: set[int] = set()
        for roles in (("user",), ("system", "user", "assistant", "user")):
            with suppress(MessagesUnfit):
                for part in self._template(roles):
                    found.update([] if isinstance(part, int) else part)
        controls = {token for token in found if self._model.is_control(token)}
        return tuple(self._model.text_of(token) for token in controls - {self._model.bos})

    def _chat(self, messages: Sequence[Message]) -> list[int]:
        tokens: list[int] = []
        for part in self._template(tuple(message.role for message in messages)):
            if isinstance(part, int):
                tokens += self._model.tokenise(messages[part].content, special=False)
            else:
                tokens += part
        return tokens

    def _template(self, roles: tuple[str, ...]) -> list[list[int] | int]:
        """The chat template for such turns: its own tokens, and the messages' places by number."""
        known = self._templates.get(roles)
        if known is None:
            known = self._render(roles)
            if len(self._templates) < _KEPT_TEMPLATES:
                self._templates[roles] = known
        return known

    def _render(self, roles: tuple[str, ...]) -> list[list[int] | int]:
        marked = [
            {"role": role, "content": f"{_MARK}{index:04d}"} for index, role in enumerate(roles)
        ]
        lone = roles == ("user",)
        try:
            rendered = self._chat_template.render(marked)
        except TemplateFails as error:
            if lone:
                raise TemplateUnusable(f"model: its chat template fails: {error}") from error
            raise MessagesUnfit(
                f"messages: the model's chat template refuses these turns: {error}"
            ) from error
        pieces = _MARKS.split(rendered)
        places = [int(number) for number in pieces[1::2]]
        missing = set(range(len(roles))) - set(places)
        if missing and lone:
            raise TemplateUnusable("model: its chat template leaves the user's message out")
        if missing:
            raise MessagesUnfit(
                f"messages[{min(missing)}]: the model's chat template leaves it out"
            )
        texts = [self._model.tokenise(text, special=True) for text in pieces[0::2]]
        parts: list[list[int] | int] = [texts[0]]
        for place, text in zip(places, texts[1:], strict=True):
            parts += [place, text]
        return parts

    @cached_property
    def _chat_template(self) -> Template:
        if self._model.chat_template is None:
            raise TemplateUnusable(
                "prompt_type: this model has no chat template;"
                f" use {PLAIN.value} ({PLAIN.name.lower()})"
            )
        try:
            return Template(
                self._model.chat_template,
                bos_text=self._model.bos_text,
                eos_text=self._model.eos_text,
                today=_TODAY,
            )
        except TemplateFails as error:
            raise TemplateUnusable(f"model: its chat template fails: {error}") from error


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


def _messages(prompt: str) -> list[Message]:
    try:
        return read_messages(prompt)
    except MessagesUnreadable as error:
        raise MessagesUnfit(str(error)) from error


def _wrap(prompt: str, prompt_template: str) -> str:
    if PLACEHOLDER in prompt_template:
        return prompt_template.replace(PLACEHOLDER, prompt, 1)
    return f"{prompt_template}\n\n{prompt}" if prompt_template else prompt
